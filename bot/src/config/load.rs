//! Finding the configuration: which file, which variables, and what each value comes from.
//!
//! Reads the file and the environment it is given, nothing else. Rejects what it does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize as _, Serialize};

use super::tree::{Fault, Node, Origin, Value};
use super::{Config, FILE_NAME, absolute};
use crate::output::error::CliError;
use crate::output::snippet::Place;

/// The largest configuration file.
const MAX_FILE: u64 = 1 << 20;

/// What every variable begins with.
const PREFIX: &str = "LEADSMAN_";

/// Variables of that prefix that are no keys: where the file is, and how much is logged.
const RESERVED: [&str; 2] = ["LEADSMAN_CONFIG", "LEADSMAN_LOG"];

/// The variables of this process, or of a test.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process that are text.
    #[must_use]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// Those variables.
    #[must_use]
    pub fn of<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(variables.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// The value of a variable; an empty one counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Variables that mean keys: name, and the path of keys.
    fn keys(&self) -> impl Iterator<Item = (&str, Vec<String>, &str)> {
        self.0.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?;
            if value.is_empty() || RESERVED.contains(&name.as_str()) || is_service_link(name, value) {
                return None;
            }
            Some((name.as_str(), key.split("__").map(str::to_lowercase).collect(), value.as_str()))
        })
    }
}

/// Kubernetes gives every pod variables for each service beside it; a service that is named `leadsman` brings
/// `LEADSMAN_SERVICE_HOST`, `LEADSMAN_PORT`, `LEADSMAN_PORT_8080_TCP` and so on, which nobody meant as configuration.
fn is_service_link(name: &str, value: &str) -> bool {
    name.starts_with("LEADSMAN_SERVICE_")
        || name.starts_with("LEADSMAN_PORT_")
        || (name == "LEADSMAN_PORT" && value.contains("://"))
}

/// Why the file that was read is the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// `--config`.
    Flag,
    /// `LEADSMAN_CONFIG`.
    Variable,
    /// The user's configuration folder.
    UserFolder,
}

/// One value of the configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key, nested ones joined by dots, such as `registries.docker.io.mirror`.
    pub key: String,
    /// The value in effect.
    pub value: serde_json::Value,
    /// Who set it.
    pub origin: Origin,
}

/// A configuration that was read and found right.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values in effect; files that it names are absolute.
    pub config: Config,
    /// The file that was read, if there is one.
    pub file: Option<(PathBuf, Source)>,
    /// Where a file would be looked for without `--config` and `LEADSMAN_CONFIG`.
    pub user_file: Option<PathBuf>,
    /// Every value that is set or has a default, with its origin, ordered by key.
    pub settings: Vec<Setting>,
}

/// A folder of ours below one of the user's; `None` where there is no home.
#[must_use]
pub fn user_folder(which: impl Fn(&etcetera::base_strategy::Xdg) -> PathBuf) -> Option<PathBuf> {
    // A relative folder would be one of the working directory.
    let folder = which(&etcetera::base_strategy::Xdg::new().ok()?);
    folder.is_absolute().then(|| folder.join("leadsman"))
}

impl Loaded {
    /// Reads the configuration: the file that `flag` names, or the environment, or the user's folder; then the
    /// variables over it.
    ///
    /// # Errors
    /// With exit code 2, naming file, line and the nearest key, where a file that was named cannot be read, or any value
    /// or key is not known.
    pub fn load(flag: Option<&Path>, environment: &Environment) -> Result<Self, CliError> {
        let user_file = user_folder(etcetera::BaseStrategy::config_dir).map(|folder| folder.join(FILE_NAME));
        Self::load_from(flag, environment, user_file)
    }

    /// The same with the user's file given.
    pub(super) fn load_from(
        flag: Option<&Path>,
        environment: &Environment,
        user_file: Option<PathBuf>,
    ) -> Result<Self, CliError> {
        let named = flag
            .map(|path| (path.to_owned(), Source::Flag))
            .or_else(|| environment.get("LEADSMAN_CONFIG").map(|path| (path.into(), Source::Variable)))
            .or_else(|| user_file.clone().filter(|path| path.exists()).map(|path| (path, Source::UserFolder)));
        let text = named.as_ref().map(|(path, source)| read(path, *source)).transpose()?.unwrap_or_default();
        let at = Where { file: named.as_ref().map(|(path, _)| path.as_path()), text: &text };
        let mut root =
            Node::parse(&text, &|line, column| Origin::File { line, column }).map_err(|fault| at.error(fault))?;
        for (name, path, value) in environment.keys() {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            root.set(&path, variable(name, value).map_err(|fault| at.error(fault))?);
        }
        let without_secrets = forget_named_secrets(root, environment);
        let mut config = Config::deserialize(&without_secrets).map_err(|fault| at.error(fault))?;
        check(&config, &without_secrets).map_err(|fault| at.error(fault))?;
        if let Some(folder) = named.as_ref().and_then(|(path, _)| path.parent()) {
            let base = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
            resolve(&mut config, &without_secrets, &base);
        }
        let settings = settings(&config, &without_secrets);
        Ok(Self { config, file: named, user_file, settings })
    }
}

fn read(path: &Path, source: Source) -> Result<String, CliError> {
    use std::io::Read as _;
    let named_by = match source {
        Source::Flag => "`--config`",
        Source::Variable => "`LEADSMAN_CONFIG`",
        Source::UserFolder => "the user's configuration folder",
    };
    let failed = |error: &std::io::Error| {
        CliError::usage(format!("could not read the configuration `{}`", path.display()))
            .because(error)
            .hint(format!("the file is named by {named_by}"))
    };
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(&std::io::Error::other("it is larger than 1 MiB")));
    }
    Ok(text)
}

/// The node of a variable: JSON where the text begins like a map or a list, else the text as it is.
fn variable(name: &str, value: &str) -> Result<Node, Fault> {
    let origin = Origin::Variable(name.to_owned());
    if value.trim_start().starts_with(['{', '[']) {
        return Node::parse(value, &|_, _| origin.clone());
    }
    Ok(Node::text(value, origin))
}

/// A variable that holds a secret may itself begin with `LEADSMAN_`: it is no unknown key then.
fn forget_named_secrets(mut root: Node, environment: &Environment) -> Node {
    let mut secrets = BTreeSet::new();
    named_secrets(&root, &mut secrets);
    let known = known_keys(&Config::schema());
    let dropped: BTreeSet<String> = environment
        .keys()
        .filter(|(name, path, _)| secrets.contains(*name) && !known.contains(&path[0]))
        .map(|(_, path, _)| path[0].clone())
        .collect();
    if let Value::Map(entries) = &mut root.value {
        entries.retain(|(key, _)| !dropped.contains(&key.text));
    }
    root
}

/// The variables that anything names as the place of a secret.
fn named_secrets(node: &Node, found: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                match &value.value {
                    Value::Scalar { text, .. } if matches!(&*key.text, "password_env" | "token_env" | "env") => {
                        found.insert(text.clone());
                    }
                    _ => named_secrets(value, found),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| named_secrets(item, found)),
        Value::Scalar { .. } => {}
    }
}

fn known_keys(schema: &schemars::Schema) -> Vec<String> {
    let properties = schema.as_value().get("properties").and_then(serde_json::Value::as_object);
    properties.map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

/// What the types cannot say.
fn check(config: &Config, root: &Node) -> Result<(), Fault> {
    let fault = |path: &[&str], message: String| {
        let origin = root.get(path).map_or(Origin::Default, |node| node.origin.clone());
        let mut fault = Fault::new(message).at(&origin);
        fault.path = path.iter().map(|key| (*key).to_owned()).collect();
        fault
    };
    super::service::check(config, root)?;
    if config.max_new_tags == 0 {
        return Err(fault(&["max_new_tags"], "must be at least 1".into()));
    }
    for (host, registry) in &config.registries {
        let at = |key| ["registries", host.as_str(), key];
        let host_alone = ["registries", host.as_str()];
        if host.contains("://") || host.contains('/') || host.is_empty() {
            let fault = fault(&host_alone, format!("`{host}` is no registry host"));
            return Err(
                fault.hint("write the host alone, with its port if it has one, such as `registry.example.com:5000`")
            );
        }
        if registry.concurrency.is_some_and(|limit| !(1..=256).contains(&limit)) {
            return Err(fault(&at("concurrency"), "must be from 1 to 256".into()));
        }
        if registry.rate == Some(0) {
            return Err(fault(&at("rate"), "must be at least 1".into()));
        }
        if registry.password_file.is_some() && registry.password_env.is_some() {
            return Err(fault(
                &at("password_env"),
                "`password_file` and `password_env` are both given; keep one".into(),
            ));
        }
        let password = registry.password_file.is_some() || registry.password_env.is_some();
        if password != registry.username.is_some() {
            let missing = if password { "`username`" } else { "`password_file` or `password_env`" };
            return Err(fault(&host_alone, format!("credentials without {missing}")));
        }
    }
    Ok(())
}

/// Makes the paths that stand in the file absolute; those of variables mean the working directory, as in a shell.
fn resolve(config: &mut Config, root: &Node, base: &Path) {
    let in_file = |path: &[&str]| root.get(path).is_some_and(|node| matches!(node.origin, Origin::File { .. }));
    if in_file(&["cache_dir"]) {
        absolute(base, &mut config.cache_dir);
    }
    if in_file(&["data_dir"]) {
        absolute(base, &mut config.data_dir);
    }
    if in_file(&["templates_dir"]) {
        absolute(base, &mut config.templates_dir);
    }
    for (host, forge) in &mut config.forges {
        if in_file(&["forges", host, "token_file"]) {
            absolute(base, &mut forge.token_file);
        }
        if in_file(&["forges", host, "ca"]) {
            absolute(base, &mut forge.ca);
        }
        for (number, secret) in forge.webhook_secrets.iter_mut().enumerate() {
            if in_file(&["forges", host, "webhook_secrets", &number.to_string(), "file"]) {
                absolute(base, &mut secret.file);
            }
        }
    }
    for (number, secret) in config.registry_webhooks.secrets.iter_mut().enumerate() {
        if in_file(&["registry_webhooks", "secrets", &number.to_string(), "file"]) {
            absolute(base, &mut secret.file);
        }
    }
    for (number, repository) in config.repositories.iter_mut().enumerate() {
        if in_file(&["repositories", &number.to_string(), "local"]) {
            absolute(base, &mut repository.local);
        }
    }
    for (host, registry) in &mut config.registries {
        if in_file(&["registries", host, "password_file"]) {
            absolute(base, &mut registry.password_file);
        }
        if in_file(&["registries", host, "ca"]) {
            absolute(base, &mut registry.ca);
        }
    }
}

/// Every value in effect, maps taken apart, with its origin.
fn settings(config: &Config, root: &Node) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Ok(value) = serde_json::to_value(config) {
        collect(&value, root, &mut Vec::new(), &mut settings);
    }
    settings
}

fn collect(value: &serde_json::Value, root: &Node, path: &mut Vec<String>, settings: &mut Vec<Setting>) {
    match value {
        serde_json::Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                path.push(key.clone());
                collect(value, root, path, settings);
                path.pop();
            }
        }
        value => {
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            let origin =
                root.get(&keys).filter(|node| !node.is_null()).map_or(Origin::Default, |node| node.origin.clone());
            settings.push(Setting { key: path.join("."), value: value.clone(), origin });
        }
    }
}

/// How faults become errors that name file, line and variable.
struct Where<'a> {
    file: Option<&'a Path>,
    text: &'a str,
}

impl Where<'_> {
    fn error(&self, fault: Fault) -> CliError {
        let Fault { message, hint, origin, path } = fault;
        let path = path.join(".");
        let error = match (&origin, self.file) {
            (Some(Origin::Variable(name)), _) => CliError::usage(format!("in the variable `{name}`: {message}")),
            (Some(Origin::File { line, column }), Some(file)) => {
                let key = if path.is_empty() { String::new() } else { format!(" `{path}`:") };
                CliError::usage(format!("in the configuration:{key} {message}")).at(Place::in_text(
                    file.display().to_string(),
                    self.text,
                    *line,
                    *column,
                ))
            }
            _ => CliError::usage(format!("in the configuration: {message}")),
        };
        let help = "`leadsman config schema` prints every key with its meaning";
        error.hint(hint.map_or_else(|| help.to_owned(), |hint| format!("{hint}\n{help}")))
    }
}
