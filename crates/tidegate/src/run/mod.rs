//! The long-running commands and the ones that set an installation up.

mod books;
pub(crate) mod bootstrap;
pub(crate) mod container;
pub(crate) mod control_plane;
pub(crate) mod doctor;
pub(crate) mod journal;
mod keeper;
pub(crate) mod keygen;
pub(crate) mod kubernetes;
pub(crate) mod migrate;
pub(crate) mod node;
mod observe;
pub(crate) mod provision;
mod roots;
pub(crate) mod simulator;
mod tester;
