//! Access that was taken from keys, told over Redis to nodes whose control plane does not say so.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_limits::{Limiter, RedisSettings};
use tidegate_node::{Node, RunningNode};
use tidegate_policy::KeyRefusal;
use tidegate_telemetry::SystemClock;
use tidegate_testkit::redis::Server;
use tidegate_types::resource::{KeySecret, KeyStatus, Resource, VirtualKey};
use tidegate_types::{Clock, Secret};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::control_plane::FakeControl;
use crate::fleet::{Tenant, end, settings, until};

/// Two nodes of a pool, each with a control plane of its own: what one's says the other one cannot hear.
struct World {
    redis: Server,
    hears: FakeControl,
    deaf: FakeControl,
    tenant: Tenant,
}

struct Running {
    node: RunningNode,
    _limiter: DropGuard,
}

impl World {
    async fn new() -> Self {
        let (hears, deaf) = (FakeControl::start().await, FakeControl::start().await);
        let tenant = Tenant::new();
        tenant.publish(&hears);
        tenant.publish(&deaf);
        Self { redis: Server::start().unwrap(), hears, deaf, tenant }
    }

    async fn start(&self, control: &FakeControl, state: &Path) -> Running {
        let stop = CancellationToken::new();
        let redis = RedisSettings::new(Secret::new(self.redis.url()), 7);
        let limiter = Limiter::redis(redis, Arc::new(SystemClock), stop.clone()).await.unwrap();
        let node = Node::start(tidegate_node::NodeSettings { limiter, ..settings(control, state) });
        let running = Running { node: node.await.unwrap(), _limiter: stop.drop_guard() };
        until("the node is ready", || running.node.is_ready() && self.tenant.is_known_to(&running.node))
            .await;
        running
    }

    fn is_refused(&self, running: &Running) -> bool {
        let view = running.node.config().view(self.tenant.key).unwrap();
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        view.admit(SystemClock.now(), from) == Err(KeyRefusal::Revoked)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_said_is_revoked_is_refused_when_redis_has_lost_it_and_is_told_again() {
    let mut world = World::new().await;
    let states = [(); 3].map(|()| TempDir::new().unwrap());
    let first = world.start(&world.hears, states[0].path()).await;
    let second = world.start(&world.deaf, states[1].path()).await;
    assert!(!world.is_refused(&second));
    world.hears.shared.publish(&world.tenant.key(KeyStatus::Revoked));
    until("the other one has heard of it", || world.is_refused(&second)).await;
    end(second.node).await;
    end(first.node).await;

    // Nobody is left who could tell.
    world.redis.start_again().unwrap();
    let second = world.start(&world.deaf, states[1].path()).await;
    assert!(world.is_refused(&second), "the disk knows of it");
    // It tells what it has heard, and again when Redis has lost it.
    let third = world.start(&world.deaf, states[2].path()).await;
    until("a new one hears of it", || world.is_refused(&third)).await;
    end(third.node).await;
    world.redis.start_again().unwrap();
    let state = TempDir::new().unwrap();
    let fourth = world.start(&world.deaf, state.path()).await;
    until("it is told again", || world.is_refused(&fourth)).await;
    end(second.node).await;
    end(fourth.node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_hears_last_it_tells_before_it_ends_and_a_lost_secret_is_told_too() {
    let world = World::new().await;
    let states = [(); 2].map(|()| TempDir::new().unwrap());
    let first = world.start(&world.hears, states[0].path()).await;
    let second = world.start(&world.deaf, states[1].path()).await;
    let Resource::Key(key) = world.tenant.key(KeyStatus::Active) else { unreachable!() };
    let secrets = vec![KeySecret { hmac: [4; 32], ..key.secrets[0].clone() }];
    let rotated = world.hears.shared.publish(&Resource::Key(VirtualKey { secrets, ..key }));
    until("it is applied", || world.hears.shared.acks.lock().iter().any(|ack| ack.n == rotated.n)).await;
    end(first.node).await;
    until("the other one has heard of it", || world.is_refused(&second)).await;
    end(second.node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_hears_last_it_tells_also_where_redis_is_away_for_a_moment_then() {
    let world = World::new().await;
    let states = [(); 2].map(|()| TempDir::new().unwrap());
    let first = world.start(&world.hears, states[0].path()).await;
    let second = world.start(&world.deaf, states[1].path()).await;
    assert!(world.redis.freeze());
    let revoked = world.hears.shared.publish(&world.tenant.key(KeyStatus::Revoked));
    until("it is applied", || world.hears.shared.acks.lock().iter().any(|ack| ack.n == revoked.n)).await;
    let thaw = async {
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        assert!(world.redis.thaw());
    };
    tokio::join!(end(first.node), thaw);
    until("the other one has heard of it", || world.is_refused(&second)).await;
    end(second.node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_though_it_can_hear_nobody() {
    let world = World::new().await;
    let state = TempDir::new().unwrap();
    end(world.start(&world.hears, state.path()).await.node).await;
    assert!(world.redis.freeze());
    let running = world.start(&world.hears, state.path()).await;
    assert!(world.redis.thaw());
    end(running.node).await;
}
