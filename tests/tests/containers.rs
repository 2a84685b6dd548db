//! What is run in containers: the compose file keeps to the specification and fits program and image, and the steps of
//! the Dockerfile's last stage work in a bare root folder.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use granit_parser::{Event, Parser, ScalarStyle};
use leadsman::config::{Environment, Loaded};
use leadsman_tests::program::leadsman;
use serde_json::{Map, Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A YAML document as JSON: numbers and truth values where they stand without quotes.
fn yaml(text: &str) -> Value {
    fn node<'a>(event: Event<'a>, next: &mut dyn FnMut() -> Event<'a>) -> Value {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => match &*text {
                "" | "~" | "null" => Value::Null,
                text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
            },
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match next() {
                        Event::SequenceEnd => return Value::Array(items),
                        event => items.push(node(event, next)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Map::new();
                loop {
                    match next() {
                        Event::MappingEnd => return Value::Object(map),
                        Event::Scalar(key, ..) => {
                            let value = next();
                            assert!(map.insert(key.into_owned(), node(value, next)).is_none());
                        }
                        event => panic!("a key that is no scalar: {event:?}"),
                    }
                }
            }
            event => panic!("not used here: {event:?}"),
        }
    }
    let mut parser = Parser::new_from_str(text);
    let mut next = || parser.next_event().unwrap().unwrap().0;
    loop {
        match next() {
            Event::StreamStart | Event::DocumentStart(..) | Event::Comment(..) => {}
            event => {
                let mut without_comments = || loop {
                    match next() {
                        Event::Comment(..) => {}
                        event => return event,
                    }
                };
                return node(event, &mut without_comments);
            }
        }
    }
}

/// What the compose specification says of the keys that are used here. A key that is not in it is refused, so that
/// whoever adds one looks it up.
fn schema() -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let texts = json!({"type": "array", "items": text, "uniqueItems": true});
    let duration = json!({"type": "string", "pattern": "^([0-9]+(h|m|s|ms|us))+$"});
    let port = json!({"type": "string", "pattern": r"^127\.0\.0\.1:[0-9]+:[0-9]+$"});
    let volume = json!({"type": "string", "pattern": r"^(\./|[a-z][a-z-]*:)[^:]*(:/[^:]+)?(:ro)?$"});
    let service = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["image", "restart"],
        "properties": {
            "build": text,
            "image": text,
            "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
            "init": {"type": "boolean"},
            "read_only": {"type": "boolean"},
            "cap_drop": texts,
            "security_opt": texts,
            "tmpfs": texts,
            "stop_grace_period": duration,
            "ports": {"type": "array", "items": port, "uniqueItems": true},
            "environment": {
                "type": "object",
                "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
                "additionalProperties": {"type": ["string", "number", "boolean", "null"]}
            },
            "volumes": {"type": "array", "items": volume, "uniqueItems": true},
            "depends_on": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["condition"],
                    "properties": {
                        "condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}
                    }
                }
            }
        }
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["services"],
        "properties": {
            "services": {
                "type": "object",
                "propertyNames": {"pattern": "^[a-zA-Z0-9._-]+$"},
                "additionalProperties": service
            },
            "volumes": {"type": "object", "additionalProperties": {"type": "object", "maxProperties": 0}}
        }
    })
}

fn compose() -> Value {
    yaml(&fs::read_to_string(root().join("docker-compose.yml")).unwrap())
}

#[test]
fn the_compose_file_keeps_to_the_specification() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let compose = compose();
    let errors: Vec<_> =
        validator.iter_errors(&compose).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    for wrong in [
        "services: {a: {imag: b, image: b, restart: always}}",
        "services: {a: {image: b, restart: maybe}}",
        "service: {}",
    ] {
        assert!(!validator.is_valid(&yaml(wrong)), "{wrong}");
    }
}

#[test]
fn what_the_compose_file_names_is_there() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let declared = compose["volumes"].as_object().unwrap();
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            assert!(source.starts_with("./") || declared.contains_key(source), "{name}: {source}");
        }
        for other in service["depends_on"].as_object().into_iter().flat_map(Map::keys) {
            assert!(services.contains_key(other), "{name} depends on {other}");
        }
    }
    let data = "leadsman-data:/var/lib/leadsman";
    assert!(services["leadsman"]["volumes"].as_array().unwrap().contains(&data.into()), "the data is on a volume");
}

/// The variables of image and compose file together are a configuration that the program takes.
#[test]
fn the_service_of_the_compose_file_has_a_right_configuration() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let image = dockerfile.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('='));
    let compose = compose();
    let service = &compose["services"]["leadsman"];
    let composed = service["environment"].as_object().unwrap().iter();
    let mut variables: Vec<(String, String)> = image.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    variables.extend(composed.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
    // The team's own file.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadsman.yaml");
    fs::write(&file, "repositories: [{local: /srv/git/fleet.git}]\n").unwrap();
    let loaded = Loaded::load(Some(&file), &Environment::of(variables.clone())).unwrap();
    let config = &loaded.config;
    assert_eq!(config.repositories.len(), 1);
    assert_eq!(config.data_folder().unwrap(), Path::new("/var/lib/leadsman"));
    assert!(config.registries["registry:5000"].insecure);
    assert_eq!(config.allow_private_registries, ["registry"]);
    assert_eq!(config.registry_webhooks.secrets(&Environment::of(variables)).unwrap().len(), 1);
    // The port that is listened on is the one that is shown and asked for its health.
    let port = config.server.listen.port();
    assert!(service["ports"][0].as_str().unwrap().ends_with(&format!(":{port}")));
    assert!(dockerfile.contains(&format!("EXPOSE {port}\n")));
    assert!(dockerfile.contains(&format!("http://127.0.0.1:{port}/healthz")));
}

#[test]
fn the_image_is_built_by_the_compiler_that_is_promised() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    assert!(dockerfile.contains(&format!("rust:{version}-")), "the Dockerfile does not build with {version}");
}

#[test]
fn the_last_stage_of_the_dockerfile_works_in_a_bare_root_folder() {
    let program = leadsman();
    let ran = Command::new(root().join("tests/container")).arg(program).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && out.contains("the last stage of the Dockerfile works"), "{out}{told}");
}
