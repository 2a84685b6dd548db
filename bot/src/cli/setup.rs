//! `leadsman setup`: makes at forges and registries what the service needs there.

use std::fmt::Write as _;
use std::path::Path;

use super::{Context, Outcome};
use crate::config::{Config, SecretSource};
use crate::forge::gitea::Gitea;
use crate::forge::{ErrorKind, Forge as _, ForgeError, Hooks as _, RepositoryName};
use crate::output::error::CliError;
use crate::output::text::escape;
use crate::output::{Exit, style};
use crate::serve;
use crate::server::webhooks::HookKind;

/// Makes webhooks, and shows what registries are to be told
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Webhook(Webhook),
}

/// Makes the webhook of each repository, and shows the one for registries
///
/// Each configured repository on a forge gets a webhook to `server.public_url`, signed with the first of the forge's
/// `webhook_secrets`, unless it has one to that address. The bot must be an administrator of the repository for it.
/// For registries, the piece of their configuration is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  leadsman setup webhook --dry-run\n  leadsman setup webhook acme/fleet")]
struct Webhook {
    /// Only these configured repositories, such as `acme/fleet`; all if none is given
    #[arg(value_name = "REPOSITORY")]
    repositories: Vec<String>,
    /// Only repositories on this forge
    #[arg(long, value_name = "HOST")]
    forge: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    match &args.what {
        What::Webhook(webhook) => make_webhooks(webhook, context).await,
    }
}

/// The address of webhooks of one kind below `server.public_url`.
///
/// # Errors
/// Where there is no such address.
pub(super) fn hook_address(config: &Config, kind: HookKind) -> Result<String, CliError> {
    let own = config.server.public_url.as_ref().ok_or_else(|| {
        CliError::usage("there is no address to send webhooks to, for `server.public_url` is not set")
            .hint("set it to the address that forges reach Leadsman by, such as `https://leadsman.example.com`")
    })?;
    Ok(format!("{}{}", own.as_str().trim_end_matches('/'), kind.row().route))
}

/// Whether two addresses of webhooks are the same, but for a slash at the end.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// The configured repositories on forges that are meant: host and name, in the order of the configuration.
///
/// # Errors
/// Where one that is named is not configured.
pub(super) fn chosen<'a>(
    config: &'a Config,
    forge: Option<&str>,
    names: &[String],
) -> Result<Vec<(&'a str, &'a str)>, CliError> {
    let all = config.repositories.iter().filter_map(|entry| Some((entry.forge.as_deref()?, entry.name.as_deref()?)));
    let of_forge = |host: &str| forge.is_none_or(|forge| forge.eq_ignore_ascii_case(host));
    let mut known: Vec<(&str, &str)> = all.filter(|(host, _)| of_forge(host)).collect();
    // One that is watched on several bases stands there several times.
    let mut seen = std::collections::BTreeSet::new();
    known.retain(|(host, name)| seen.insert((host.to_lowercase(), name.to_lowercase())));
    if let Some(host) = forge.filter(|_| known.is_empty()) {
        return Err(CliError::usage(format!("no repository on `{host}` is configured"))
            .hint("name a forge of `repositories` in the configuration"));
    }
    if let Some(name) = names.iter().find(|name| !known.iter().any(|(_, known)| known.eq_ignore_ascii_case(name))) {
        return Err(CliError::usage(format!("the repository `{name}` is not configured"))
            .hint("add it to `repositories` in the configuration, or name one of those"));
    }
    let is_meant = |name: &str| names.is_empty() || names.iter().any(|given| given.eq_ignore_ascii_case(name));
    known.retain(|(_, name)| is_meant(name));
    Ok(known)
}

async fn make_webhooks(args: &Webhook, context: &Context) -> Outcome {
    let config = context.load()?.config;
    let chosen = chosen(&config, args.forge.as_deref(), &args.repositories)?;
    let wants_registries = args.repositories.is_empty() && args.forge.is_none();
    let snippet = if wants_registries { registries(&config)? } else { None };
    if chosen.is_empty() && snippet.is_none() {
        return Err(CliError::usage(
            "there is nothing to set up: no repository on a forge is configured, and no registry",
        )
        .hint("name repositories in `repositories`, and a secret in `registry_webhooks.secrets`"));
    }
    // Whatever is wrong with the configuration is said before anything is made.
    let mut work = Vec::new();
    if !chosen.is_empty() {
        let address = hook_address(&config, HookKind::Gitea)?;
        for (host, name) in chosen {
            let secrets = config.forges.get(host).map(|forge| forge.webhook_secrets(&context.environment, host));
            let secret = secrets.transpose()?.and_then(|secrets| secrets.into_iter().next()).ok_or_else(|| {
                CliError::usage(format!("there is no secret to sign webhooks of `{host}` with")).hint(format!(
                    "make one with `openssl rand -hex 32`, and name its file in `forges.{host}.webhook_secrets`"
                ))
            })?;
            let forge = serve::gitea(&config, &context.environment, host)?;
            work.push((forge, RepositoryName(name.to_owned()), address.clone(), secret));
        }
        // It checks that the secrets are long enough.
        serve::hook_sources(&config, &context.environment)?;
    }
    let look = context.ui.out;
    let mut failed = 0;
    for (forge, name, address, secret) in work {
        let shown = escape(&format!("{}/{name}", forge.host())).into_owned();
        let line = match make(&forge, &name, &address, &secret, args.dry_run).await {
            Ok(Made::There) => format!("{} {shown}: it has a webhook to {address}\n", look.paint(style::DIM, "kept")),
            Ok(Made::New) => format!("{} {shown}: webhook to {address}\n", look.paint(style::UPDATE, "made")),
            Ok(Made::Would) => {
                format!("{} {shown}: webhook to {address}\n", look.paint(style::UPDATE, "would make"))
            }
            Err(error) => {
                failed += 1;
                let advice = match error.kind {
                    ErrorKind::Forbidden | ErrorKind::NotFound => {
                        "; make the bot an administrator of the repository and give its token the right \
                         `write:repository`, or make the webhook by hand"
                    }
                    _ => "",
                };
                let error = escape(&error.to_string()).into_owned();
                format!("{} {shown}: {error}{advice}\n", look.paint(style::ERROR, "failed"))
            }
        };
        context.print(&line)?;
    }
    if let Some(snippet) = snippet {
        context.print(&snippet)?;
    }
    Ok(if failed > 0 { Exit::Partly } else { Exit::Done })
}

enum Made {
    There,
    New,
    Would,
}

async fn make(
    forge: &Gitea,
    name: &RepositoryName,
    address: &str,
    secret: &secrecy::SecretString,
    is_dry: bool,
) -> Result<Made, ForgeError> {
    if forge.hooks(name).await?.iter().any(|known| is_same(known, address)) {
        return Ok(Made::There);
    }
    if is_dry {
        return Ok(Made::Would);
    }
    forge.make_hook(name, address, secret).await.map(|()| Made::New)
}

/// What a registry is told, without the secret itself; none where none is configured.
///
/// # Errors
/// Where there is a secret and no address.
fn registries(config: &Config) -> Result<Option<String>, CliError> {
    let Some(secret) = config.registry_webhooks.secrets.first() else { return Ok(None) };
    let address = hook_address(config, HookKind::Distribution)?;
    let mut out = String::from("\n# For registries that send distribution's notifications, in their `config.yml`.\n");
    let _ = writeln!(out, "# SECRET stands for {}.", place_of(secret));
    let _ = write!(
        out,
        "notifications:\n  endpoints:\n    - name: leadsman\n      url: {}\n      headers:\n        \
         Authorization: [Bearer SECRET]\n      timeout: 5s\n      threshold: 5\n      backoff: 10s\n      \
         ignoredmediatypes:\n        - application/octet-stream\n        \
         - application/vnd.docker.image.rootfs.diff.tar.gzip\n        \
         - application/vnd.oci.image.layer.v1.tar+gzip\n",
        escape(&address)
    );
    Ok(Some(out))
}

/// Where a secret is to be found, in words.
fn place_of(secret: &SecretSource) -> String {
    let shown = |file: &Path| format!("what is in the file `{}`", escape(&file.display().to_string()));
    match (&secret.file, &secret.env) {
        (Some(file), _) => shown(file),
        (None, Some(variable)) => format!("the value of the variable `{}`", escape(variable)),
        (None, None) => "the secret".into(),
    }
}
