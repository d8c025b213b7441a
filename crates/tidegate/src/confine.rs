//! Confinement of the server processes: they can never start another program.
//!
//! `node` and `control-plane` need no child process; a request that found a way to run one is
//! stopped by the kernel (execve and execveat answer EPERM). Linux only; elsewhere it does nothing.

use anyhow::Result;

/// Forbids execve and execveat to every thread of this process, for ever.
///
/// # Errors
/// When the kernel refuses the filter.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn forbid_programs() -> Result<()> {
    use std::collections::BTreeMap;

    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    let calls = [libc::SYS_execve, libc::SYS_execveat];
    let rules: BTreeMap<_, _> = calls.into_iter().map(|call| (call, vec![])).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(())
}

/// Other systems have no such filter.
///
/// # Errors
/// Never.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) fn forbid_programs() -> Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn no_program_can_be_started_afterwards() {
        // The positive control first: before, it can.
        assert!(std::process::Command::new("true").status().unwrap().success());
        super::forbid_programs().unwrap();
        let error = std::process::Command::new("true").status().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }
}
