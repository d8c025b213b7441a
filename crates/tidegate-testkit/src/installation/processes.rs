//! Nodes and control planes of an installation: more of them, the same again, another executable.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::{Installation, Link, Program, config, port_of};
use crate::{port, redis};

impl Installation {
    /// Starts one more node and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn add_node(&mut self) -> Result<()> {
        self.add_node_in("default").await
    }

    /// Makes a pool with a counters' server of its own.
    ///
    /// # Errors
    /// When the management API refuses, or the server does not start.
    pub async fn add_pool(&mut self, name: &str) -> Result<()> {
        self.admin.post("/pools?organization=system", &json!({"name": name})).await?;
        self.pools.insert(name.to_owned(), redis::Server::start()?);
        Ok(())
    }

    /// Starts one more node of a pool and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn add_node_in(&mut self, pool: &str) -> Result<()> {
        let token = self.admin.post("/join-tokens", &json!({"pool": pool})).await?;
        let index = self.nodes.len();
        let grpc = self.control_planes.iter().map(|p| p.url("grpc on ")).collect::<Result<Vec<_>>>()?;
        let counters = self.pools.get(pool).or(self.redis.as_ref());
        let (mut control, mut redis) = (grpc[index % grpc.len()].clone(), counters.map(redis::Server::url));
        if self.shape.lines {
            let line = Link::to(port_of(&control)?).await?;
            control = format!("https://127.0.0.1:{}", line.port());
            self.lines.to_control.push(line);
            if let Some(counters) = counters {
                let line = Link::to(counters.port()).await?;
                redis = Some(format!("redis://127.0.0.1:{}", line.port()));
                self.lines.to_redis.push(line);
            }
        }
        config::node(
            self.folder.path(),
            index,
            &control,
            &token,
            redis.as_deref(),
            &self.shape,
            &self.upstream_ports,
        )?;
        let node = self.spawn_node(index)?;
        node.wait_for_line("node is ready").await?;
        self.nodes.push(node);
        Ok(())
    }

    /// Starts one more node with the configuration of another one, an empty state folder, and nobody who would let it
    /// enrol: its token is used up. Does not wait for it.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start_fresh_node(&mut self, like: usize) -> Result<()> {
        let index = self.nodes.len();
        let folder = self.folder.path();
        let mut text = std::fs::read_to_string(config::file(folder, &format!("node-{like}")))?;
        text = text.replace(&format!("node-{like}"), &format!("node-{index}"));
        for address in ["gateway on ", "metrics on "] {
            let old = port_of(&self.nodes[like].url(address)?)?;
            text = text.replace(&format!(":{old}\""), &format!(":{}\"", port::free()?));
        }
        std::fs::write(config::file(folder, &format!("node-{index}")), text)?;
        let node = self.spawn_node(index)?;
        self.nodes.push(node);
        Ok(())
    }

    fn spawn_node(&self, index: usize) -> Result<Program> {
        let file = config::file(self.folder.path(), &format!("node-{index}"));
        let name = format!("node-{index}");
        let wrapper = [self.shape.host(&name).wrapper, self.shape.node_wrapper.clone()].concat();
        Program::start(&self.binary, self.folder.path(), &name, &wrapper, &["node", "--config", &file])
    }

    /// Starts a node again that was killed or stopped, with its state, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_node(&mut self, index: usize) -> Result<()> {
        self.start_node(index)?;
        self.nodes[index].wait_for_line("node is ready").await
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start_node(&mut self, index: usize) -> Result<()> {
        self.nodes[index].kill();
        self.nodes[index] = self.spawn_node(index)?;
        Ok(())
    }

    /// Another executable from the next start of each process on.
    pub fn change_binary(&mut self, binary: &Path) {
        binary.clone_into(&mut self.binary);
    }

    /// Brings the schema up to what the executable needs.
    ///
    /// # Errors
    /// When it cannot.
    pub fn migrate(&self) -> Result<()> {
        let file = config::file(self.folder.path(), "control-0");
        Program::run(&self.binary, self.folder.path(), &["migrate", "--config", &file]).map(|_| ())
    }

    /// Starts a control plane again that was killed or stopped, on the same ports.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_control_plane(&mut self, index: usize) -> Result<()> {
        self.control_planes[index].kill();
        let (name, file) =
            (format!("control-{index}"), config::file(self.folder.path(), &format!("control-{index}")));
        self.control_planes[index] = Program::start(
            &self.binary,
            self.folder.path(),
            &name,
            &self.shape.host(&name).wrapper,
            &["control-plane", "--config", &file],
        )?;
        self.control_planes[index].wait_for_line("control plane is ready").await
    }
}
