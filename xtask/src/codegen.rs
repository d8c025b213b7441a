//! Generates Rust from `proto/`, in process: neither protoc nor a build script is needed.
//!
//! The result is committed; CI runs this again and fails on a difference.

use std::fs;

use anyhow::Context;

pub(crate) const FILES: [&str; 6] = [
    "tidegate/config/v1/resource.proto",
    "tidegate/config/v1/config.proto",
    "tidegate/usage/v1/usage.proto",
    "tidegate/budget/v1/budget.proto",
    "tidegate/enroll/v1/enroll.proto",
    "tidegate/query/v1/query.proto",
];

/// Messages that carry a secret in the clear: no Debug is derived for them.
const SECRET: [&str; 1] = [".tidegate.enroll.v1.EnrollRequest"];

/// Writes the generated code.
///
/// # Errors
/// When a file of `proto/` is not valid or the code cannot be written.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = crate::workspace_root();
    let out = root.join("crates/tidegate-proto/src/gen");
    fs::create_dir_all(&out).context("create the folder of generated code")?;
    let files = protox::compile(FILES, [root.join("proto")]).context("read proto/")?;
    tonic_prost_build::configure()
        .out_dir(&out)
        .emit_rerun_if_changed(false)
        .btree_map(".")
        .skip_debug(SECRET)
        .compile_fds(files)
        .context("generate code")
}
