//! Who may depend on whom in the workspace, and that the core has no dependency from outside.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Finding;
use super::table::{CRATES, CrateRule};
use crate::workspace;

/// One line of some `[dependencies]` table.
#[derive(Debug)]
struct Dependency {
    krate: String,
    name: String,
    is_member: bool,
    for_tests: bool,
}

/// Checks the manifests as cargo understands them.
pub(super) fn check_workspace() -> Result<Vec<Finding>> {
    let output = workspace::cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
    Ok(check(&dependencies(&metadata)))
}

fn check(dependencies: &[Dependency]) -> Vec<Finding> {
    dependencies.iter().filter_map(offence).collect()
}

fn offence(dependency: &Dependency) -> Option<Finding> {
    let Dependency { krate, name, is_member, for_tests } = dependency;
    let message = match CRATES.iter().find(|rule| rule.name == krate) {
        None => "is not listed in xtask/src/tidy/table.rs".to_owned(),
        Some(CrateRule { members, .. }) if *is_member && !members.contains(&name.as_str()) => {
            format!("must not depend on {name}")
        }
        Some(CrateRule { outside: false, .. }) if !is_member && !for_tests => {
            format!("has to do without dependencies from outside, such as {name}")
        }
        Some(_) => return None,
    };
    Some(Finding::new(&format!("{krate}/Cargo.toml"), 0, message))
}

fn dependencies(metadata: &Value) -> Vec<Dependency> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let packages = list(metadata, "packages");
    let mut dependencies = Vec::new();
    for package in &packages {
        for dependency in list(package, "dependencies") {
            dependencies.push(Dependency {
                krate: name(package),
                name: name(&dependency),
                is_member: !dependency["path"].is_null(),
                for_tests: dependency["kind"] == "dev",
            });
        }
    }
    dependencies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(krate: &str, dependency: &str) -> Vec<String> {
        let metadata = format!(
            r#"{{"packages": [{{"name": "{krate}", "dependencies": [{dependency}]}}, {{"name": "raft-core"}}]}}"#
        );
        let metadata = serde_json::from_str(&metadata).unwrap();
        check(&dependencies(&metadata)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_look_upwards_is_found_also_for_tests() {
        for kind in ["null", "\"dev\""] {
            let dependency = format!(r#"{{"name": "raft-core", "path": "x", "kind": {kind}}}"#);
            assert_eq!(
                messages("raft-proto", &dependency),
                ["raft-proto/Cargo.toml: must not depend on raft-core"]
            );
            assert!(messages("raft-storage", &dependency).is_empty());
        }
    }

    #[test]
    fn a_dependency_of_the_core_is_found() {
        let normal = r#"{"name": "slog", "kind": null}"#;
        let message = "raft-core/Cargo.toml: has to do without dependencies from outside, such as slog";
        assert_eq!(messages("raft-core", normal), [message]);
        assert!(messages("raft-storage", normal).is_empty());
        assert!(messages("raft-core", r#"{"name": "proptest", "kind": "dev"}"#).is_empty());
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        let message = "raft-attic/Cargo.toml: is not listed in xtask/src/tidy/table.rs";
        assert_eq!(messages("raft-attic", r#"{"name": "slog", "kind": null}"#), [message]);
    }
}
