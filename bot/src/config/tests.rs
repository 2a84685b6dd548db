//! The configuration: every key, where its value came from, and what is said of a wrong one.

use std::path::PathBuf;

use super::tree::Origin;
use super::{Config, Environment, ForgeKind, Loaded, LogFormat, Registry, RepositoryEntry, SecretSource, Source, Span};
use crate::output::{Exit, Look};

struct Case {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Case {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("leadsman.yaml"), file).unwrap();
        Self { folder, variables: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("leadsman.yaml")
    }

    fn load(&self) -> Result<Loaded, String> {
        Loaded::load_from(None, &Environment::of(self.variables.clone()), Some(self.path())).map_err(|error| {
            assert_eq!(error.exit(), Exit::Usage);
            error.render(Look::PLAIN).replace(&*self.path().to_string_lossy(), "leadsman.yaml")
        })
    }

    fn config(&self) -> Config {
        self.load().unwrap().config
    }

    fn error(&self) -> String {
        self.load().unwrap_err()
    }
}

/// Every key of the configuration, in the file and as a variable; the schema's own list keeps this complete.
#[test]
fn every_key_is_read_from_the_file_and_from_its_variable() {
    type Check = fn(&Config) -> bool;
    let cases: [(&str, &str, Check); 16] = [
        ("registries", r#"{"a.io": {"insecure": true}}"#, |c| c.registries.get("a.io").is_some_and(|r| r.insecure)),
        ("platform", "linux/arm64/v8", |c| c.platform.as_str() == "linux/arm64/v8"),
        ("max_new_tags", "7", |c| c.max_new_tags == 7),
        ("image_timeout", "2m", |c| c.image_timeout == Span::from_secs(120)),
        ("cache_dir", "/var/cache/l", |c| c.cache_folder() == Some("/var/cache/l".into())),
        ("data_dir", "/var/lib/l", |c| c.data_folder() == Some("/var/lib/l".into())),
        ("templates_dir", "/etc/l", |c| c.templates_dir == Some("/etc/l".into())),
        ("forges", r#"{"git.a.io": {"token_env": "T"}}"#, |c| {
            c.forges.get("git.a.io").is_some_and(|f| f.token_env.is_some())
        }),
        ("repositories", r#"[{"local": "/srv/git"}]"#, |c| c.repositories.len() == 1),
        ("server", r#"{"listen": "[::1]:1", "pages": false}"#, |c| !c.server.pages && c.server.listen.port() == 1),
        ("registry_webhooks", r#"{"secrets": [{"env": "S"}]}"#, |c| c.registry_webhooks.secrets.len() == 1),
        ("schedule", r#"{"images": "5m"}"#, |c| c.schedule.images == Span::from_secs(300)),
        ("workers", "9", |c| c.workers == 9),
        ("allow_private_registries", r#"["registry"]"#, |c| c.allow_private_registries == ["registry"]),
        ("handle", "boatswain", |c| c.handle == "boatswain"),
        ("log_format", "json", |c| c.log_format == LogFormat::Json),
    ];
    let mut keys: Vec<&str> = cases.iter().map(|(key, ..)| *key).collect();
    keys.sort_unstable();
    let schema = Config::schema();
    let mut known: Vec<&String> = schema.as_value()["properties"].as_object().unwrap().keys().collect();
    known.sort_unstable();
    assert_eq!(keys, known);
    for (key, value, check) in cases {
        assert!(!check(&Config::default()), "{key} is tested by its default");
        let loaded = Case::new(&format!("{key}: {value}\n")).load().unwrap();
        assert!(check(&loaded.config), "{key} in the file");
        assert!(
            loaded.settings.iter().any(|s| s.key.starts_with(key) && matches!(s.origin, Origin::File { .. })),
            "{key}"
        );
        let name = format!("LEADSMAN_{}", key.to_uppercase());
        let loaded = Case::new("").with(&name, value).load().unwrap();
        assert!(check(&loaded.config), "{name}");
        let origin = Origin::Variable(name);
        assert!(loaded.settings.iter().any(|s| s.key.starts_with(key) && s.origin == origin), "{key}");
    }
}

#[test]
fn every_key_of_a_registry_is_read() {
    let config = Case::new(
        "registries:\n  a.io:\n    mirror: http://127.0.0.1:5000/\n    ca: certs/ca.pem\n    insecure: true\n    concurrency: 4\n    rate: 20\n  b.io:\n    username: u\n    password_file: /run/secret\n  c.io: {username: '7', password_env: P}\n",
    );
    let loaded = config.config();
    let a = &loaded.registries["a.io"];
    assert_eq!(a.mirror.as_ref().unwrap().as_str(), "http://127.0.0.1:5000");
    assert_eq!(a.ca, Some(config.folder.path().join("certs/ca.pem")), "relative to the file's own folder");
    assert_eq!((a.insecure, a.concurrency, a.rate), (true, Some(4), Some(20)));
    let b = Registry { username: Some("u".into()), password_file: Some("/run/secret".into()), ..Registry::default() };
    assert_eq!(loaded.registries["b.io"], b);
    let c = Registry { username: Some("7".into()), password_env: Some("P".into()), ..Registry::default() };
    assert_eq!(loaded.registries["c.io"], c);
}

#[test]
fn every_key_of_the_service_is_read() {
    let case = Case::new(
        "forges:\n  git.a.io:3000:\n    kind: gitea\n    url: http://git.a.io:3000/sub/\n    token_file: token\n    \
         webhook_secrets: [{file: hook}, {env: LEADSMAN_HOOK}]\n    ca: ca.pem\n  \
         b.io: {token_env: LEADSMAN_B}\n\
         repositories:\n  - {forge: git.a.io:3000, name: acme/fleet, base: release/1}\n  - local: fleet.git\n\
         server: {listen: '0.0.0.0:80', public_url: 'https://bot.a.io/', pages: false}\n\
         registry_webhooks: {secrets: [{file: /run/s}]}\nschedule: {images: 1m, repositories: 2h}\n\
         templates_dir: texts\n",
    )
    .with("LEADSMAN_HOOK", "hunter2")
    .with("LEADSMAN_B", "hunter3")
    .with("LEADSMAN_SERVER__LISTEN", "127.0.0.1:8081")
    .with("LEADSMAN_LOG_FORMAT", "json");
    let config = case.config();
    let file = |name: &str| Some(case.folder.path().join(name));
    let forge = &config.forges["git.a.io:3000"];
    assert_eq!((forge.kind, forge.address("git.a.io:3000").as_str()), (ForgeKind::Gitea, "http://git.a.io:3000/sub"));
    assert_eq!((&forge.token_file, &forge.ca), (&file("token"), &file("ca.pem")), "relative to the file's own folder");
    let secrets = [
        SecretSource { file: file("hook"), env: None },
        SecretSource { file: None, env: Some("LEADSMAN_HOOK".into()) },
    ];
    assert_eq!(forge.webhook_secrets, secrets);
    assert_eq!(config.forges["b.io"].address("b.io"), "https://b.io");
    let fleet = RepositoryEntry {
        forge: Some("git.a.io:3000".into()),
        name: Some("acme/fleet".into()),
        base: Some("release/1".into()),
        local: None,
    };
    let local = RepositoryEntry { local: file("fleet.git"), ..RepositoryEntry::default() };
    assert_eq!(config.repositories, [fleet, local]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8081", "the variable wins over a nested key");
    assert_eq!(config.server.public_url.unwrap().as_str(), "https://bot.a.io");
    assert!(!config.server.pages, "what the variable does not name stays");
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.schedule.repositories, Span::from_secs(7_200));
    assert_eq!(config.templates_dir, file("texts"));
    assert!(!format!("{:?}", case.load().unwrap().settings).contains("hunter"));
}

#[test]
fn wrong_values_of_the_service_say_what_is_expected_and_where() {
    let forge = |rest: &str| format!("forges: {{a.io: {{token_env: T{rest}}}}}\n");
    for (file, message) in [
        ("forges: {a.io: {}}\n".to_owned(), "`forges.a.io`: a forge without `token_file` or `token_env`"),
        (forge(", token_file: f"), "`token_file` and `token_env` are both given"),
        (forge(", token: hunter2"), "name what holds it by `token_file` or `token_env`"),
        (forge(", kind: github"), "`github` is none of `gitea`"),
        (forge(", url: a.io"), "`a.io` is no address"),
        (forge(", url: 'https://u:hunter2@a.io'"), "credentials do not stand in an address"),
        (forge(", webhook_secrets: [{}]"), "a secret needs `file` or `env`"),
        (forge(", webhook_secrets: [{file: a, env: B}]"), "`file` and `env` are both given"),
        (forge(", webhook_secrets: [hunter2]"), "expected a map"),
        ("forges: {'https://a.io': {token_env: T}}\n".into(), "`https://a.io` is no host of a forge"),
        ("forges: {local: {token_env: T}}\n".into(), "repositories on this machine need no forge"),
        ("repositories: [{}]\n".into(), "a repository needs `forge` and `name`, or `local`"),
        ("repositories: [{forge: a.io}]\n".into(), "a repository of a forge without `name`"),
        ("repositories: [{name: a/b}]\n".into(), "a repository of a forge without `forge`"),
        ("repositories: [{forge: a.io, name: a/b}]\n".into(), "`a.io` is no configured forge"),
        (forge("") + "repositories: [{forge: b.io, name: a/b}]\n", "did you mean `a.io`?"),
        (forge("") + "repositories: [{forge: a.io, name: a}]\n", "write `owner/name`"),
        (forge("") + "repositories: [{forge: a.io, name: ../b}]\n", "write `owner/name`"),
        (forge("") + "repositories: [{forge: a.io, name: a/b, local: /x}]\n", "`local` stands alone"),
        (forge("") + "repositories: [{forge: a.io, name: a/b, base: a b}]\n", "`a b` is no name of a branch"),
        (
            forge("") + "repositories: [{forge: a.io, name: a/b}, {forge: a.io, name: A/B}]\n",
            "`repositories.1`: `a/b` stands here twice",
        ),
        ("repositories: [{local: /a}, {local: /a}]\n".into(), "stands here twice"),
        ("server: {listen: 8080}\n".into(), "`server.listen`: invalid socket address syntax"),
        ("server: {public_url: bot}\n".into(), "`bot` is no address"),
        ("registry_webhooks: {secret: x}\n".into(), "secrets do not stand in the configuration"),
        ("registry_webhooks: {secrets: [{}]}\n".into(), "a secret needs `file` or `env`"),
        ("schedule: {images: 1s}\n".into(), "`schedule.images`: `1s` is too often: at least `1m`"),
        ("workers: 0\n".into(), "`workers`: must be from 1 to 64"),
        ("allow_private_registries: ['a.io:5000']\n".into(), "`a.io:5000` is no host without port"),
        ("handle: '@bot'\n".into(), "`@bot` is no handle"),
        ("log_format: xml\n".into(), "`xml` is none of `text` and `json`"),
    ] {
        let error = Case::new(&file).error();
        assert!(error.contains(message), "{file}: {error}");
        assert!(error.contains("--> leadsman.yaml:"), "{file}: {error}");
        assert!(!error.contains("credentials") || !error.lines().next().unwrap().contains("hunter2"), "{error}");
    }
}

#[test]
fn nothing_set_means_the_defaults() {
    for text in ["", "# only a comment\n", "---\n", "registries:\n", "null\n"] {
        assert_eq!(Case::new(text).config(), Config::default(), "{text:?}");
    }
    assert_eq!(Case::new("").with("LEADSMAN_PLATFORM", "").config(), Config::default(), "empty counts as absent");
}

#[test]
fn a_variable_wins_over_the_file_and_says_so() {
    let case = Case::new("platform: linux/arm64\nmax_new_tags: 2\n").with("LEADSMAN_PLATFORM", "linux/s390x");
    let loaded = case.load().unwrap();
    assert_eq!((loaded.config.platform.as_str(), loaded.config.max_new_tags), ("linux/s390x", 2));
    let origin = |key: &str| loaded.settings.iter().find(|setting| setting.key == key).unwrap().origin.clone();
    assert_eq!(origin("platform"), Origin::Variable("LEADSMAN_PLATFORM".into()));
    assert_eq!(origin("max_new_tags"), Origin::File { line: 2, column: 15 });
    assert_eq!(origin("image_timeout"), Origin::Default);
    assert_eq!(loaded.file.unwrap().1, Source::UserFolder);
}

#[test]
fn unknown_keys_name_the_nearest_and_show_the_line() {
    assert_eq!(
        Case::new("# mine\nregistires: {}\n").error(),
        "error: in the configuration: unknown key `registires`\n  --> leadsman.yaml:2:1\n  |\n2 | registires: {}\n  | ^\n\
         hint: did you mean `registries`?\n      `leadsman config schema` prints every key with its meaning\n"
    );
    let nested = Case::new("registries:\n  docker.io:\n    miror: http://x\n").error();
    assert!(nested.contains("`registries.docker.io`: unknown key `miror`") && nested.contains("`mirror`?"), "{nested}");
    let variable = Case::new("").with("LEADSMAN_PLATFROM", "linux/arm64").error();
    assert!(variable.contains("in the variable `LEADSMAN_PLATFROM`: unknown key `platfrom`"), "{variable}");
    assert!(variable.contains("did you mean `platform`?"), "{variable}");
    assert!(Case::new("zzzzzzzz: 1\n").error().contains("known keys here are `registries`"));
}

#[test]
fn wrong_values_say_what_is_expected_and_where() {
    for (file, message) in [
        ("platform: amd64\n", "`platform`: `amd64` is no platform"),
        ("image_timeout: 60\n", "`image_timeout`: `60` is no length of time"),
        ("image_timeout: 0s\n", "is no length of time"),
        ("max_new_tags: many\n", "`max_new_tags`: expected a whole number, found `many`"),
        ("max_new_tags: 0\n", "`max_new_tags`: must be at least 1"),
        ("registries: {a.io: {concurrency: 1000}}\n", "`registries.a.io.concurrency`: must be from 1 to 256"),
        ("registries: {a.io: {concurrency: [1]}}\n", "expected a whole number up to 65535, found a list"),
        ("registries: x\n", "`registries`: expected a map, found `x`"),
        (
            "registries: {a.io: {insecure: yes}}\n",
            "`registries.a.io.insecure`: expected `true` or `false`, found `yes`",
        ),
        ("registries: {a.io: {rate: 0}}\n", "`registries.a.io.rate`: must be at least 1"),
        ("registries: {a.io: {concurrency: 0}}\n", "must be from 1 to 256"),
        ("registries: {a.io: {mirror: a.b}}\n", "`registries.a.io.mirror`: `a.b` is no address of a mirror"),
        ("registries: {'https://a.io': {}}\n", "`https://a.io` is no registry host"),
        ("registries: {a.io: {username: u}}\n", "credentials without `password_file` or `password_env`"),
        ("registries: {a.io: {password_env: P}}\n", "credentials without `username`"),
        ("registries: {a.io: {username: u, password_env: P, password_file: f}}\n", "are both given"),
        ("registries: {a.io: {password: hunter2}}\n", "secrets do not stand in the configuration"),
        ("platform: a/b\nplatform: c/d\n", "the key `platform` stands here twice"),
        ("a: &x 1\nb: *x\n", "anchors, aliases and tags are not read"),
        ("platform: 'linux/amd64\n", "no valid YAML"),
        ("{}\n---\n{}\n", "a second document"),
    ] {
        let error = Case::new(file).error();
        assert!(error.contains(message), "{file}: {error}");
        assert!(error.contains("--> leadsman.yaml:"), "{file}: {error}");
    }
}

#[test]
fn a_password_in_a_mirror_is_refused_and_not_repeated() {
    let error = Case::new("").with("LEADSMAN_REGISTRIES", r#"{"a.io":{"mirror":"http://u:hunter2@m"}}"#).error();
    assert!(error.contains("credentials do not stand in the address") && !error.contains("hunter2"), "{error}");
}

#[test]
fn variables_that_are_no_keys_are_left_alone() {
    let case = Case::new("registries: {a.io: {username: u, password_env: LEADSMAN_A_PASSWORD}}\n")
        .with("LEADSMAN_A_PASSWORD", "hunter2")
        .with("LEADSMAN_LOG", "debug")
        // What Kubernetes gives every pod beside a service of that name.
        .with("LEADSMAN_SERVICE_HOST", "10.0.0.7")
        .with("LEADSMAN_SERVICE_PORT_HTTP", "80")
        .with("LEADSMAN_PORT", "tcp://10.0.0.7:80")
        .with("LEADSMAN_PORT_80_TCP_ADDR", "10.0.0.7");
    let loaded = case.load().unwrap();
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
}

#[test]
fn a_named_file_wins_over_the_users_and_must_exist() {
    let users = Case::new("max_new_tags: 1\n");
    let named = Case::new("max_new_tags: 2\n");
    let flagged = Case::new("max_new_tags: 3\n");
    let path = named.path();
    let environment = Environment::of([("LEADSMAN_CONFIG", path.to_str().unwrap())]);
    let by_variable = Loaded::load_from(None, &environment, Some(users.path())).unwrap();
    assert_eq!((by_variable.config.max_new_tags, by_variable.file.unwrap().1), (2, Source::Variable));
    let by_flag = Loaded::load_from(Some(&flagged.path()), &environment, Some(users.path())).unwrap();
    assert_eq!((by_flag.config.max_new_tags, by_flag.file.unwrap().1), (3, Source::Flag));
    let gone = Loaded::load_from(Some("/nonexistent.yaml".as_ref()), &environment, None).unwrap_err();
    assert_eq!(gone.exit(), Exit::Usage);
    assert!(gone.render(Look::PLAIN).contains("could not read the configuration `/nonexistent.yaml`"));
    assert_eq!(Loaded::load_from(None, &Environment::default(), None).unwrap().config, Config::default());
}

#[test]
fn the_schema_takes_what_is_read_and_refuses_what_is_not() {
    let validator = jsonschema::validator_for(Config::schema().as_value()).unwrap();
    let full = serde_json::json!({
        "registries": {"a.io": {"mirror": "http://127.0.0.1:5000", "username": "u", "password_env": "P", "ca": "x",
                                "insecure": true, "concurrency": 1, "rate": 1}},
        "platform": "linux/arm64", "max_new_tags": 1, "image_timeout": "3d",
        "cache_dir": "/c", "data_dir": "/d"
    });
    assert!(validator.is_valid(&full));
    assert!(validator.is_valid(&serde_json::to_value(Config::default()).unwrap()));
    for wrong in [
        serde_json::json!({"registires": {}}),
        serde_json::json!({"platform": "amd64"}),
        serde_json::json!({"image_timeout": "60"}),
        serde_json::json!({"max_new_tags": 0}),
        serde_json::json!({"registries": {"a": {"rate": 0}}}),
        serde_json::json!({"registries": {"a": {"mirror": "http://u:p@m"}}}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn spans_read_back_as_written() {
    for text in ["60s", "90s", "2m", "3d", "1w", "36h"] {
        let span: Span = text.parse().unwrap();
        assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
    }
    assert_eq!("60s".parse::<Span>().unwrap().to_string(), "1m");
    for text in ["", "s", "-1s", "1.5h", "1 h", "99999999999999999999s", "99999999999999999w"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}
