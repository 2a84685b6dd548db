//! Where configuration is found, and what is said of it.

use crate::harness::Home;

#[test]
fn show_says_where_each_value_came_from() {
    let home = Home::new().with("LEADSMAN_MAX_NEW_TAGS", "4");
    home.write(".config/leadsman/leadsman.yaml", "platform: linux/arm64\nregistries:\n  a.io:\n    insecure: true\n");
    let (code, shown) = home.json(&["config", "show"]);
    assert_eq!(code, 0);
    let value = |key: &str| shown["values"].as_array().unwrap().iter().find(|v| v["key"] == key).unwrap().clone();
    assert_eq!(value("platform")["value"], "linux/arm64");
    assert_eq!((&value("platform")["origin"], &value("platform")["line"]), (&"file".into(), &1.into()));
    assert_eq!(value("max_new_tags")["variable"], "LEADSMAN_MAX_NEW_TAGS");
    assert_eq!(value("image_timeout")["origin"], "default");
    assert_eq!(value("registries.a.io.insecure")["line"], 4);
    assert_eq!(shown["file_source"], "user-folder");
    let human = home.run(&["config", "show"]);
    assert!(human.out.contains("LEADSMAN_MAX_NEW_TAGS") && human.out.contains("line 4"), "{}", human.out);
}

#[test]
fn neither_the_working_directory_nor_the_scanned_tree_brings_configuration() {
    let home = Home::new();
    for name in ["leadsman.yaml", ".leadsman.yaml", "leadsman/leadsman.yaml", ".config/leadsman/leadsman.yaml"] {
        home.write(&format!("work/{name}"), "max_new_tags: 7777\n");
    }
    let (_, shown) = home.json(&["config", "show"]);
    assert_eq!(shown["file"], serde_json::Value::Null);
    assert!(!shown.to_string().contains("7777"), "{shown}");
    // A relative folder would be one of the working directory.
    let relative = Home::new().with("XDG_CONFIG_HOME", ".config");
    relative.write("work/.config/leadsman/leadsman.yaml", "max_new_tags: 7777\n");
    assert_eq!(relative.json(&["config", "show"]).1["file"], serde_json::Value::Null);
}

#[test]
fn wrong_configuration_is_exit_code_2_with_the_line_and_the_nearest_key() {
    let home = Home::new();
    let file = home.write("elsewhere.yaml", "platfrom: linux/arm64\n");
    for arguments in [
        vec!["config", "check", "--config", file.to_str().unwrap()],
        vec!["--config", file.to_str().unwrap(), "config", "show"],
    ] {
        let ran = home.run(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("unknown key `platfrom`"), "{}", ran.err);
        assert!(ran.err.contains("1 | platfrom: linux/arm64\n  | ^"), "{}", ran.err);
        assert!(ran.err.contains("did you mean `platform`?"), "{}", ran.err);
    }
    let variable = Home::new().with("LEADSMAN_CONFIG", file.to_str().unwrap()).run(&["config", "check"]);
    assert_eq!(variable.code, 2);
    let gone = Home::new().with("LEADSMAN_CONFIG", "/nonexistent/l.yaml").run(&["config", "check"]);
    assert!(gone.code == 2 && gone.err.contains("`LEADSMAN_CONFIG`"), "{}", gone.err);
}

#[test]
fn check_looks_at_the_secrets_and_certificates_that_are_named() {
    let home = Home::new();
    let file = home.write(
        ".config/leadsman/leadsman.yaml",
        "registries:\n  a.io: {username: u, password_file: secret}\n  b.io: {ca: ca.pem}\n",
    );
    let missing = home.run(&["config", "check"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("could not read the password of `a.io`"), "{}", missing.err);
    std::fs::write(file.with_file_name("secret"), "hunter2\n").unwrap();
    assert!(home.run(&["config", "check"]).err.contains("could not read the certificates of `b.io`"));
    std::fs::write(file.with_file_name("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let right = home.run(&["config", "check"]);
    assert_eq!((right.code, right.err.as_str()), (0, ""));
    let shown = home.run(&["config", "show", "--format", "json"]);
    assert!(!shown.out.contains("hunter2") && shown.out.contains("password_file"));
}

#[test]
fn the_schema_of_the_configuration_is_printed() {
    let ran = Home::new().run(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&serde_json::json!({"platform": "linux/amd64"})));
    for property in schema["properties"].as_object().unwrap().values() {
        assert!(property["description"].is_string() || property["$ref"].is_string(), "{property}");
    }
}
