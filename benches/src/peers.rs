//! What is measured beside Tidegate: nothing in between, and nginx as a plain reverse proxy.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::Pinned;
use crate::tls::Tls;

/// A free port of this machine.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens.
pub(crate) async fn wait_for(port: u16) -> Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "nobody listens on port {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The mock upstream on core 0, beside the load.
pub(crate) async fn mock() -> Result<(Pinned, u16)> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["mock", "--listen", &format!("127.0.0.1:{port}")]);
    let mock = Pinned::start(0, &mut command)?;
    wait_for(port).await?;
    Ok((mock, port))
}

/// Keeps a core from falling asleep, running only when nobody else wants to: else whoever writes to
/// a sleeping core pays for waking it, and the slower subject meets more of them.
pub(crate) fn awake(core: usize) -> Result<Pinned> {
    let mut command = Command::new("chrt");
    command.args(["--idle", "0"]).arg(std::env::current_exe()?).arg("spin");
    Pinned::start(core, &mut command)
}

/// Runs until it is killed. It asks again and again whether somebody else wants to run: a process that
/// wakes up right after it had run counts as served for some microseconds more, and would then wait for
/// the next tick of up to 4 ms.
pub(crate) fn spin() -> ! {
    loop {
        std::thread::yield_now();
    }
}

/// nginx on core 1, and its ports.
pub(crate) struct Nginx {
    pub(crate) process: Pinned,
    pub(crate) plain: u16,
    pub(crate) tls: u16,
}

/// nginx on core 1: one worker, keep-alive on both sides, no buffering. `None` when it is not installed.
pub(crate) async fn nginx(folder: &Path, upstream: u16, tls: &Tls) -> Result<Option<Nginx>> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(program) = program else { return Ok(None) };
    let (port, secure) = (free_port()?, free_port()?);
    let (certificate, key) = (tls.certificate.display(), tls.key.display());
    let folder = folder.to_string_lossy();
    let config = format!(
        "daemon off; worker_processes 1; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err warn;\n\
         worker_rlimit_nofile 20000; events {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; tcp_nodelay on;\n\
         client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n\
         uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         upstream mock {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{secure} ssl; ssl_protocols TLSv1.3;\n\
         ssl_certificate {certificate}; ssl_certificate_key {key}; location / {{ proxy_pass http://mock; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffering off; proxy_read_timeout 300s; }} }} }}\n"
    );
    let file = format!("{folder}/nginx.conf");
    std::fs::write(&file, config).context("write nginx.conf")?;
    let nginx =
        Pinned::start(1, Command::new(program).args(["-c", &file, "-e", &format!("{folder}/nginx.err")]))?;
    wait_for(port).await?;
    Ok(Some(Nginx { process: nginx, plain: port, tls: secure }))
}
