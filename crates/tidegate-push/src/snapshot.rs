//! Brings one shard of a node up to date: from memory when it is close, from the store otherwise.

use tidegate_proto::config as wire;
use tidegate_store::feed::{self, Item};
use tidegate_store::{Store, StoreError};
use tidegate_types::{NodeId, Shard};

use crate::assemble::Parts;
use crate::feed::{Feed, PAGE};
use crate::metrics::PushMetrics;

/// Where the parts of a delta go; `false`: nobody listens any more.
pub(crate) trait Outlet {
    /// Takes one part, waiting while the node is slow.
    async fn put(&mut self, delta: wire::Delta) -> bool;
}

/// Reads what a node lacks.
pub(crate) struct Source<'a> {
    pub(crate) store: &'a Store,
    pub(crate) feed: &'a Feed,
    pub(crate) metrics: &'a PushMetrics,
    pub(crate) node: NodeId,
    pub(crate) pool: &'a str,
}

impl Source<'_> {
    /// Sends everything of `shard` after `from`; returns where the node stands then, or `None`
    /// when nobody listens any more. From 0, and from a place that the feed has not reached, the
    /// shard is replaced whole.
    pub(crate) async fn bring(
        &self,
        shard: Shard,
        from: u64,
        head: u64,
        out: &mut impl Outlet,
    ) -> Result<Option<u64>, StoreError> {
        let replace = from == 0 || from > head;
        let parts =
            Parts { shard, from: if replace { 0 } else { from }, replace, node: self.node, pool: self.pool };
        if replace {
            self.metrics.snapshots.inc();
            return self.snapshot(&parts, head, out).await;
        }
        self.metrics.deltas.inc();
        if let Some((items, to)) = self.feed.recent(shard, from, head) {
            return Ok(send(parts.last(parts.cut(&items), to), out).await.then_some(to));
        }
        self.changes(&parts, head, out).await
    }

    async fn snapshot(
        &self,
        parts: &Parts<'_>,
        head: u64,
        out: &mut impl Outlet,
    ) -> Result<Option<u64>, StoreError> {
        let mut after = 0;
        loop {
            let permit = self.feed.reader().await;
            let page = feed::snapshot_page(self.store, parts.shard, after, head, PAGE).await?;
            after = page.last().map_or(after, |item| item.versioned.revision.n);
            let is_last = (page.len() as u32) < PAGE;
            if !self.put(parts, &page, is_last.then_some(head), out).await {
                return Ok(None);
            }
            drop(permit);
            if is_last {
                return Ok(Some(head));
            }
        }
    }

    async fn changes(
        &self,
        parts: &Parts<'_>,
        head: u64,
        out: &mut impl Outlet,
    ) -> Result<Option<u64>, StoreError> {
        let mut after = parts.from;
        loop {
            let permit = self.feed.reader().await;
            let page = feed::changes_since(self.store, parts.shard, after, PAGE).await?;
            after = page.last().map_or(after, |item| item.versioned.revision.n);
            let is_last = (page.len() as u32) < PAGE;
            let to = after.max(head);
            if !self.put(parts, &page, is_last.then_some(to), out).await {
                return Ok(None);
            }
            drop(permit);
            if is_last {
                return Ok(Some(to));
            }
        }
    }

    async fn put(&self, parts: &Parts<'_>, page: &[Item], to: Option<u64>, out: &mut impl Outlet) -> bool {
        self.feed.note_unreadable(page);
        let cut = parts.cut(page);
        let cut = match to {
            Some(to) => parts.last(cut, to),
            None => cut,
        };
        send(cut, out).await
    }
}

async fn send(parts: Vec<wire::Delta>, out: &mut impl Outlet) -> bool {
    for part in parts {
        if !out.put(part).await {
            return false;
        }
    }
    true
}
