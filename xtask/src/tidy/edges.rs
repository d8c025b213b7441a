//! Which crate may know which: DESIGN section 3, as a table.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use serde::Deserialize;

use super::Fault;

/// Internal edges that are allowed; `tidegate-telemetry` is open to all but the pure crates.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tidegate-types", &[]),
    ("tidegate-pricing", &["types"]),
    ("tidegate-dialect", &["types"]),
    ("tidegate-policy", &["types", "pricing"]),
    ("tidegate-catalogue", &["types", "pricing"]),
    ("tidegate-proto", &["types"]),
    ("tidegate-secrets", &["types"]),
    ("tidegate-store", &["types"]),
    ("tidegate-keyring", &["types", "secrets", "store"]),
    ("tidegate-limits", &["types"]),
    ("tidegate-upstream", &["types"]),
    ("tidegate-admin", &["types", "policy", "pricing", "catalogue", "secrets", "store", "keyring"]),
    ("tidegate-push", &["types", "proto", "pricing", "secrets", "store", "keyring"]),
    ("tidegate-treasury", &["types", "pricing", "store", "limits"]),
    ("tidegate-notify", &["types", "secrets", "store", "upstream"]),
    ("tidegate-export", &["types", "secrets", "store", "upstream"]),
    ("tidegate-trust", &["types", "secrets", "store", "upstream"]),
    ("tidegate-proxy", &["types", "pricing", "policy", "dialect", "secrets", "limits", "upstream"]),
    ("tidegate-node", &["proxy", "proto", "secrets", "types", "policy", "limits"]),
    ("tidegate-simulator", &[]),
    ("tidegate-telemetry", &["types"]),
    ("tidegate-testkit", &[]),
];

const PURE: &[&str] =
    &["tidegate-types", "tidegate-pricing", "tidegate-dialect", "tidegate-policy", "tidegate-catalogue"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    optional: bool,
}

pub(super) fn check(root: &Path) -> Result<Vec<Fault>> {
    let output = Command::new("cargo")
        .current_dir(root)
        .args(["metadata", "--no-deps", "--format-version=1", "--locked"])
        .output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    Ok(faults(&metadata.packages))
}

fn faults(packages: &[Package]) -> Vec<Fault> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut faults = Vec::new();
    for package in packages {
        // The executable wires everything; xtask and the bench are tools.
        if matches!(package.name.as_str(), "tidegate" | "tidegate-bench" | "xtask") {
            continue;
        }
        let Some(edges) = allowed.get(package.name.as_str()) else {
            faults.push(format!("crate {} has no row in the table of edges", package.name));
            continue;
        };
        let ordinary = package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev"));
        for dependency in ordinary.filter(|d| d.name.starts_with("tidegate")) {
            let short = dependency.name.trim_start_matches("tidegate-");
            // Test helpers of a crate sit behind a feature of its own.
            if short == "testkit" && dependency.optional {
                continue;
            }
            let telemetry = short == "telemetry" && !PURE.contains(&package.name.as_str());
            if !telemetry && !edges.contains(&short) {
                faults.push(format!("crate {} must not know {}", package.name, dependency.name));
            }
        }
        faults.extend(planes(package));
    }
    faults
}

/// Tests may reach further, but never from one plane into the other.
fn planes(package: &Package) -> Option<Fault> {
    let control = [
        "tidegate-admin",
        "tidegate-push",
        "tidegate-treasury",
        "tidegate-notify",
        "tidegate-export",
        "tidegate-trust",
    ];
    let data = ["tidegate-proxy", "tidegate-node"];
    let name = package.name.as_str();
    let other: &[&str] = if control.contains(&name) {
        &data
    } else if data.contains(&name) {
        &control
    } else {
        &[]
    };
    let found = package.dependencies.iter().find(|d| other.contains(&d.name.as_str()))?;
    Some(format!("{name} and {} are on different planes", found.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependency: &str, kind: Option<&str>) -> Package {
        let dependency =
            Dependency { name: dependency.to_owned(), kind: kind.map(str::to_owned), optional: false };
        Package { name: name.to_owned(), dependencies: vec![dependency] }
    }

    #[test]
    fn a_forbidden_edge_is_found() {
        assert_eq!(faults(&[package("tidegate-types", "tidegate-store", None)]).len(), 1);
        assert_eq!(faults(&[package("tidegate-policy", "tidegate-telemetry", None)]).len(), 1);
        assert_eq!(faults(&[package("tidegate-node", "tidegate-push", Some("dev"))]).len(), 1);
        assert_eq!(faults(&[package("tidegate-new", "serde", None)]).len(), 1);
    }

    #[test]
    fn allowed_edges_pass() {
        assert!(faults(&[package("tidegate-proxy", "tidegate-policy", None)]).is_empty());
        assert!(faults(&[package("tidegate-store", "tidegate-telemetry", None)]).is_empty());
        assert!(faults(&[package("tidegate-store", "tidegate-testkit", Some("dev"))]).is_empty());
    }
}
