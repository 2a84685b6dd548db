//! Folders of manifests, made to measure: as many releases, images and files as a test or benchmark asks for.
//!
//! The same numbers give the same bytes.

use std::{fmt::Write as _, fs, io, path::Path};

use crate::registry::static_registry;

/// A folder of releases to be made.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// How many `HelmRelease`s in all.
    pub releases: usize,
    /// How many files they are spread over, evenly.
    pub files: usize,
    /// How many different images they use, in turn: release `i` uses image `i % images`.
    pub images: usize,
    /// The registry of the images, such as `127.0.0.1:5000`.
    pub registry: String,
    /// The tag they all have.
    pub tag: String,
    /// The filter annotation's value.
    pub filter: String,
    /// About how many bytes each release has; filled up with ordinary values.
    pub bytes: usize,
}

impl Corpus {
    /// One release per file and image, about as long as a small real one.
    #[must_use]
    pub fn new(releases: usize, registry: impl Into<String>) -> Self {
        Self {
            releases,
            files: releases,
            images: releases,
            registry: registry.into(),
            tag: "1.0.0".into(),
            filter: "semver:~1".into(),
            bytes: 600,
        }
    }

    /// The text of file `index`.
    #[must_use]
    pub fn text(&self, index: usize) -> String {
        let mut text = String::with_capacity(self.bytes * self.releases / self.files + self.bytes);
        let (start, end) = (index * self.releases / self.files, (index + 1) * self.releases / self.files);
        for release in start..end {
            self.release(release, &mut text);
        }
        text
    }

    fn release(&self, i: usize, text: &mut String) {
        let (registry, tag, filter) = (&self.registry, &self.tag, &self.filter);
        let repository = static_registry::repository(i % self.images);
        let start = text.len();
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "---
apiVersion: helm.fluxcd.io/v1
kind: HelmRelease
metadata:
  name: app-{i}
  namespace: team-{team}
  annotations:
    fluxcd.io/automated: \"true\"
    filter.fluxcd.io/chart-image: {filter}
spec:
  releaseName: app-{i}
  chart:
    repository: https://charts.example.com/
    name: app
    version: 4.2.{patch}
  values:
    image:
      repository: {registry}/{repository}
      tag: {tag} # kept up to date
    replicaCount: 2
",
            team = i % 10,
            patch = i % 20,
        );
        let mut block = 0;
        while text.len() - start < self.bytes {
            let _ = write!(
                text,
                "    component{block}:
      enabled: true
      # how much it may take
      resources:
        requests: {{cpu: 100m, memory: 128Mi}}
        limits: {{cpu: \"1\", memory: 512Mi}}
      env:
        - name: LOG_LEVEL
          value: info
        - name: ENDPOINT
          value: 'https://component{block}.example.com:8443/v1'
      nodeSelector:
        kubernetes.io/arch: amd64
"
            );
            block += 1;
        }
    }

    /// Writes the files into `folder`, a hundred to a sub-folder.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for index in 0..self.files {
            let below = folder.join(format!("cluster-{}", index / 100));
            if index % 100 == 0 {
                fs::create_dir_all(&below)?;
            }
            fs::write(below.join(format!("release-{index}.yaml")), self.text(index))?;
        }
        Ok(())
    }
}
