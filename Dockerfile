# One image with the program `leadsman`.
#
#   docker build -t leadsman .
#   docker run --rm leadsman --version
#
# It runs as nobody in particular (65532), needs no capability, and writes below /var/lib/leadsman only.

FROM docker.io/library/rust:1.95-slim-trixie AS build
# Libraries in C are built along: cryptography and SQLite.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package leadsman

FROM docker.io/library/debian:trixie-slim
# git pushes branches, curl asks for the health.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl git \
    && rm -rf /var/lib/apt/lists/*
RUN install -d -o 65532 -g 65532 -m 0750 /var/lib/leadsman
COPY --from=build /src/target/release/leadsman /usr/local/bin/leadsman
ENV HOME=/var/lib/leadsman
ENV LEADSMAN_DATA_DIR=/var/lib/leadsman
ENV LEADSMAN_CACHE_DIR=/var/lib/leadsman/cache
# Within the container; what is reachable from outside is said by whoever runs it.
ENV LEADSMAN_SERVER__LISTEN=0.0.0.0:8080
USER 65532:65532
WORKDIR /var/lib/leadsman
VOLUME /var/lib/leadsman
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["leadsman"]
CMD ["serve"]
