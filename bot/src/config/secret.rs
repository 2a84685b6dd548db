//! Secrets that the configuration names: read from a file or a variable when they are needed, never printed.

use std::path::Path;

use secrecy::SecretString;

use super::{Environment, ForgeConfig, Registry, RegistryWebhooks, SecretSource};
use crate::output::error::CliError;

/// The largest file a password may stand in.
const MAX_SECRET: u64 = 64 << 10;

impl Registry {
    /// The password of this registry; `None` where none is configured.
    ///
    /// # Errors
    /// Where the file cannot be read or the variable is not set, or either is empty.
    pub fn password(&self, environment: &Environment, host: &str) -> Result<Option<SecretString>, CliError> {
        let text = if let Some(path) = &self.password_file {
            read(path).map_err(|error| {
                CliError::usage(format!("could not read the password of `{host}` from `{}`", path.display()))
                    .because(&error)
                    .hint(format!("check `registries.{host}.password_file`"))
            })?
        } else if let Some(name) = &self.password_env {
            let value = environment.get(name).ok_or_else(|| {
                CliError::usage(format!("the variable `{name}` with the password of `{host}` is not set"))
                    .hint(format!("set it, or change `registries.{host}.password_env`"))
            })?;
            value.to_owned()
        } else {
            return Ok(None);
        };
        Ok(Some(SecretString::from(text)))
    }

    /// Whether the file of certificates is there.
    ///
    /// # Errors
    /// Where it cannot be read or holds no certificate.
    pub fn check_ca(&self, host: &str) -> Result<(), CliError> {
        check_ca(self.ca.as_deref(), host, "registries")
    }
}

fn check_ca(path: Option<&Path>, host: &str, section: &str) -> Result<(), CliError> {
    let Some(path) = path else { return Ok(()) };
    let failed = |error: &std::io::Error| {
        CliError::usage(format!("could not read the certificates of `{host}` from `{}`", path.display()))
            .because(error)
            .hint(format!("check `{section}.{host}.ca`"))
    };
    let text = std::fs::read(path).map_err(|error| failed(&error))?;
    if !String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----") {
        return Err(failed(&std::io::Error::other("it holds no certificate in PEM form")));
    }
    Ok(())
}

impl SecretSource {
    /// The secret; `key` is where the configuration names it, such as `registry_webhooks.secrets`.
    ///
    /// # Errors
    /// Where the file cannot be read or the variable is not set, or either is empty.
    pub fn secret(&self, environment: &Environment, key: &str) -> Result<SecretString, CliError> {
        secret(self.file.as_deref(), self.env.as_deref(), environment, key)
    }
}

impl ForgeConfig {
    /// The bot's access token; `host` is what the forge is configured as.
    ///
    /// # Errors
    /// Where the file cannot be read or the variable is not set, or either is empty.
    pub fn token(&self, environment: &Environment, host: &str) -> Result<SecretString, CliError> {
        let key = format!("forges.{host}.token_{}", if self.token_file.is_some() { "file" } else { "env" });
        secret(self.token_file.as_deref(), self.token_env.as_deref(), environment, &key)
    }

    /// The secrets of its webhooks, in their order.
    ///
    /// # Errors
    /// Where one of them cannot be had.
    pub fn webhook_secrets(&self, environment: &Environment, host: &str) -> Result<Vec<SecretString>, CliError> {
        let key = format!("forges.{host}.webhook_secrets");
        self.webhook_secrets.iter().map(|source| source.secret(environment, &key)).collect()
    }
}

impl ForgeConfig {
    /// Whether the file of certificates is there.
    ///
    /// # Errors
    /// Where it cannot be read or holds no certificate.
    pub fn check_ca(&self, host: &str) -> Result<(), CliError> {
        check_ca(self.ca.as_deref(), host, "forges")
    }
}

impl RegistryWebhooks {
    /// The secrets, in their order.
    ///
    /// # Errors
    /// Where one of them cannot be had.
    pub fn secrets(&self, environment: &Environment) -> Result<Vec<SecretString>, CliError> {
        self.secrets.iter().map(|source| source.secret(environment, "registry_webhooks.secrets")).collect()
    }
}

fn secret(
    file: Option<&Path>,
    variable: Option<&str>,
    environment: &Environment,
    key: &str,
) -> Result<SecretString, CliError> {
    let hint = format!("check `{key}`");
    match (file, variable) {
        (Some(path), _) => read(path).map(SecretString::from).map_err(|error| {
            CliError::usage(format!("could not read a secret from `{}`", path.display())).because(&error).hint(hint)
        }),
        (None, Some(name)) => environment
            .get(name)
            .map(|value| SecretString::from(value.to_owned()))
            .ok_or_else(|| CliError::usage(format!("the variable `{name}` that holds a secret is not set")).hint(hint)),
        (None, None) => Err(CliError::usage("a secret is named neither by a file nor by a variable").hint(hint)),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_SECRET).read_to_string(&mut text)?;
    let secret = text.trim_end();
    if secret.is_empty() { Err(std::io::Error::other("it is empty")) } else { Ok(secret.to_owned()) }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::output::Look;

    #[test]
    fn passwords_come_from_files_and_variables() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2 \n").unwrap();
        let environment = Environment::of([("P", "hunter3")]);
        let of = |registry: Registry| registry.password(&environment, "a.io");
        let file = Registry { password_file: Some(path.clone()), ..Registry::default() };
        assert_eq!(of(file).unwrap().unwrap().expose_secret(), "hunter2");
        let variable = Registry { password_env: Some("P".into()), ..Registry::default() };
        assert_eq!(of(variable).unwrap().unwrap().expose_secret(), "hunter3");
        assert!(of(Registry::default()).unwrap().is_none());
        std::fs::write(&path, "\n").unwrap();
        let empty = of(Registry { password_file: Some(path), ..Registry::default() }).unwrap_err();
        assert!(empty.render(Look::PLAIN).contains("it is empty"));
        let unset = of(Registry { password_env: Some("Q".into()), ..Registry::default() }).unwrap_err();
        assert!(unset.render(Look::PLAIN).contains("the variable `Q` with the password of `a.io` is not set"));
    }

    #[test]
    fn secrets_of_the_service_come_from_files_and_variables() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2\n").unwrap();
        let environment = Environment::of([("P", "hunter3")]);
        let file = SecretSource { file: Some(path.clone()), env: None };
        let variable = SecretSource { file: None, env: Some("P".into()) };
        let forge = ForgeConfig {
            token_env: Some("P".into()),
            webhook_secrets: vec![file.clone(), variable.clone()],
            ..ForgeConfig::default()
        };
        assert_eq!(forge.token(&environment, "a.io").unwrap().expose_secret(), "hunter3");
        let hooks = forge.webhook_secrets(&environment, "a.io").unwrap();
        assert_eq!(hooks.iter().map(|it| it.expose_secret()).collect::<Vec<_>>(), ["hunter2", "hunter3"]);
        let webhooks = RegistryWebhooks { secrets: vec![variable] };
        assert_eq!(webhooks.secrets(&environment).unwrap()[0].expose_secret(), "hunter3");
        let unset = webhooks.secrets(&Environment::default()).unwrap_err().render(Look::PLAIN);
        assert!(unset.contains("`P`") && unset.contains("check `registry_webhooks.secrets`"), "{unset}");
        std::fs::remove_file(&path).unwrap();
        let gone = forge.webhook_secrets(&environment, "a.io").unwrap_err().render(Look::PLAIN);
        assert!(
            gone.contains("could not read a secret from") && gone.contains("`forges.a.io.webhook_secrets`"),
            "{gone}"
        );
    }

    #[test]
    fn a_ca_file_must_hold_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let registry = Registry { ca: Some(path.clone()), ..Registry::default() };
        assert!(registry.check_ca("a.io").is_err());
        std::fs::write(&path, "nothing").unwrap();
        assert!(registry.check_ca("a.io").unwrap_err().render(Look::PLAIN).contains("no certificate"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(registry.check_ca("a.io").is_ok());
    }
}
