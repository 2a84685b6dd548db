//! `leadsman doctor`: checks what a scan relies on.

use std::collections::BTreeSet;

use leadsman_scanner::reference::{DEFAULT_HOST, ImageName};

use super::{Context, Outcome};
use crate::clock;
use crate::config::Config;
use crate::doctor;
use crate::output::error::CliError;
use crate::output::json::{self, CheckResult, CheckView, DoctorView, Version};
use crate::output::{Exit, Format, report};

/// Checks configuration, credentials, forges, registries and the clock
///
/// Each finding says what to do.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// More registry hosts to check, besides Docker Hub and those of the configuration
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// Ask no registry and no forge
    #[arg(long, conflicts_with = "hosts")]
    offline: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let loaded = context.load();
    let mut checks = vec![doctor::configuration(&loaded)];
    let config = loaded.map(|loaded| loaded.config).unwrap_or_default();
    checks.extend(doctor::secrets(&config, &context.environment));
    checks.push(doctor::folder("cache folder", config.cache_folder().as_deref(), "cache_dir"));
    checks.push(doctor::folder("data folder", config.data_folder().as_deref(), "data_dir"));
    checks.extend(doctor::docker(&context.environment));
    checks.extend(doctor::service::lock(config.data_folder().as_deref()));
    checks.extend(doctor::service::templates(&config));
    checks.extend(doctor::service::local_repositories(&config));
    if !args.offline {
        checks.extend(doctor::service::forges(&config, &context.environment).await);
        checks.extend(registries(args, &config, context).await?);
    }
    let failed = checks.iter().any(|check| check.result == CheckResult::Failed);
    let view = DoctorView { version: Version::ONE, checks };
    context.print(&match args.format {
        Format::Json => json::document(&view),
        Format::Human => report::checks(&view, context.ui.out),
    })?;
    Ok(if failed { Exit::Partly } else { Exit::Done })
}

async fn registries(args: &Args, config: &Config, context: &Context) -> Result<Vec<CheckView>, CliError> {
    let mut hosts: BTreeSet<String> = config.registries.keys().cloned().collect();
    for host in &args.hosts {
        // A host is what may stand before an image's repository.
        let name = ImageName::parse(&format!("{host}/x/x"), &config.known_hosts()).ok();
        match name.filter(|name| name.repository() == "x/x") {
            Some(name) => hosts.insert(name.host().to_owned()),
            None => {
                return Err(CliError::usage(format!("`{host}` is no registry host"))
                    .hint("write the host alone, with its port if it has one, such as `ghcr.io`"));
            }
        };
    }
    hosts.insert(DEFAULT_HOST.to_owned());
    let client = match config.registry(&context.environment) {
        Ok(client) => client,
        Err(error) => {
            let (result, hint) = (CheckResult::Failed, Some("see `registries` in the configuration".to_owned()));
            return Ok(vec![CheckView { name: "registries".into(), result, message: error.to_string(), hint }]);
        }
    };
    let mut waiting = tokio::task::JoinSet::new();
    for host in hosts {
        let client = client.clone();
        waiting.spawn(async move {
            let (check, date) = doctor::registry(&client, &host).await;
            (check, date.map(|date| (date, host)))
        });
    }
    let (mut checks, mut told) = (Vec::new(), None);
    while let Some(answer) = waiting.join_next().await {
        let (check, date) = answer.map_err(|error| CliError::failed("a check was cut short").because(&error))?;
        checks.push(check);
        if told.is_none() {
            // Compared at once, for every moment later counts as skew.
            told = date.map(|date| doctor::clock(Some(date), clock::now()));
        }
    }
    checks.sort_by(|a, b| a.name.cmp(&b.name));
    checks.push(told.unwrap_or_else(|| doctor::clock(None, clock::now())));
    Ok(checks)
}
