//! From the configuration to what the registry client is given.

use std::str::FromStr as _;

use leadsman_scanner::reference::KnownHosts;
use leadsman_scanner::registry::{
    Credentials, DockerConfig, HostOptions, Platform, Registry as Client, RegistryOptions,
};

use super::{Config, Environment};
use crate::output::error::CliError;

impl Config {
    /// The options of the registry client on the command line: private addresses are allowed, docker's credentials are
    /// used. Passwords are read here.
    ///
    /// # Errors
    /// Where a password that the configuration names cannot be had.
    pub fn registry_options(&self, environment: &Environment) -> Result<RegistryOptions, CliError> {
        let mut options = RegistryOptions { timeout: self.image_timeout(), ..RegistryOptions::default() };
        for (host, registry) in &self.registries {
            let password = registry.password(environment, host)?;
            let credentials =
                registry.username.clone().zip(password).map(|(username, password)| Credentials { username, password });
            let mirror = registry.mirror.as_ref().map(|mirror| {
                url::Url::parse(mirror.as_str()).map_err(|error| {
                    CliError::usage(format!("the mirror `{mirror}` of `{host}` is no address")).because(&error)
                })
            });
            let host_options = HostOptions {
                mirror: mirror.transpose()?,
                credentials,
                ca: registry.ca.clone(),
                insecure: registry.insecure,
                concurrency: registry.concurrency.map(usize::from),
                rate: registry.rate,
            };
            options.hosts.insert(host.clone(), host_options);
        }
        Ok(options)
    }

    /// The options of the registry client in the service: what repositories name is asked at public addresses only, but
    /// for the hosts of `allow_private_registries`, and docker's credentials are not used.
    ///
    /// # Errors
    /// Where a password that the configuration names cannot be had.
    pub fn service_registry_options(&self, environment: &Environment) -> Result<RegistryOptions, CliError> {
        Ok(RegistryOptions {
            allow_private: false,
            allowed_private: self.allow_private_registries.iter().cloned().collect(),
            docker_config: DockerConfig::Off,
            ..self.registry_options(environment)?
        })
    }

    /// The registry client on the command line. Opens no connection.
    ///
    /// # Errors
    /// Where the options do not hold together or a password cannot be had.
    pub fn registry(&self, environment: &Environment) -> Result<Client, CliError> {
        Client::new(self.registry_options(environment)?).map_err(|error| {
            CliError::usage("in the configuration: `registries` cannot be used as it is").because(&error)
        })
    }

    /// Hosts that count as hosts though their names do not look like it (S2.5).
    #[must_use]
    pub fn known_hosts(&self) -> KnownHosts {
        KnownHosts::new(self.registries.keys().cloned())
    }

    /// Whose creation time counts in an image of many platforms (S6.2).
    #[must_use]
    pub fn platform(&self) -> Platform {
        // The configuration has the same grammar, so that the default is never reached.
        Platform::from_str(self.platform.as_str()).unwrap_or_default()
    }
}
