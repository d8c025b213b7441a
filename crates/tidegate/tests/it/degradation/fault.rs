//! Faults that can be made in an installation of two nodes and two control planes, and how each ends.

use serde::Deserialize;
use tidegate_testkit::installation::{Installation, Line, Link};

use super::walk::served;
use crate::support::App;

/// What is done to an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fault {
    PostgresStopped,
    PostgresSilent,
    ControlPlanesKilled,
    OneControlPlaneKilled,
    ControlLineSilent,
    ControlLineHalfOpen,
    ControlLineRefused,
    NodeKilled,
    NodeRestartedWithoutControlPlane,
    RedisStopped,
    RedisFrozen,
    RedisLineSilent,
    RedisLineHalfOpen,
    RedisLineRefused,
    RedisRestarted,
    RedisWiped,
    RedisWipedWithoutControlPlane,
    RedisWipedWithoutANode,
}

use Fault::{
    ControlLineHalfOpen, ControlLineRefused, ControlLineSilent, ControlPlanesKilled, NodeKilled,
    NodeRestartedWithoutControlPlane, OneControlPlaneKilled, PostgresSilent, PostgresStopped, RedisFrozen,
    RedisLineHalfOpen, RedisLineRefused, RedisLineSilent, RedisRestarted, RedisStopped, RedisWiped,
    RedisWipedWithoutANode, RedisWipedWithoutControlPlane,
};

pub(super) const ALL: &[Fault] = &[
    PostgresStopped,
    PostgresSilent,
    ControlPlanesKilled,
    OneControlPlaneKilled,
    ControlLineSilent,
    ControlLineHalfOpen,
    ControlLineRefused,
    NodeKilled,
    NodeRestartedWithoutControlPlane,
    RedisStopped,
    RedisFrozen,
    RedisLineSilent,
    RedisLineHalfOpen,
    RedisLineRefused,
    RedisRestarted,
    RedisWiped,
    RedisWipedWithoutControlPlane,
    RedisWipedWithoutANode,
];

/// Of which nodes the row's cells speak; the others serve everything, or are away themselves.
pub(super) struct Concerns {
    pub(super) nodes: &'static [usize],
    pub(super) gone: &'static [usize],
}

const EVERY: Concerns = Concerns { nodes: &[0, 1], gone: &[] };
const FIRST: Concerns = Concerns { nodes: &[0], gone: &[] };
const SECOND_IS_GONE: Concerns = Concerns { nodes: &[0], gone: &[1] };

impl Fault {
    /// For people.
    pub(super) fn name(self) -> String {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push(' ');
            }
            name.extend(c.to_lowercase());
        }
        name
    }

    pub(super) fn is_of_redis(self) -> bool {
        self.name().starts_with("redis")
    }

    pub(super) const fn concerns(self) -> Concerns {
        match self {
            RedisLineSilent | RedisLineHalfOpen | RedisLineRefused => FIRST,
            NodeKilled => Concerns { nodes: &[1], gone: &[] },
            RedisWipedWithoutANode => SECOND_IS_GONE,
            _ => EVERY,
        }
    }

    /// Makes it happen. `capped` has a call at each node under a hard budget; those that it makes are counted
    /// by who calls.
    pub(super) async fn begin(self, installation: &mut Installation, capped: &[App]) -> u64 {
        let lines = &installation.lines;
        match self {
            PostgresStopped => installation.postgres.stop(),
            PostgresSilent => set(&lines.to_postgres, Line::Silent),
            ControlPlanesKilled => installation.control_planes.iter_mut().for_each(|plane| plane.kill()),
            OneControlPlaneKilled => installation.control_planes[1].kill(),
            ControlLineSilent => set(&lines.to_control, Line::Silent),
            ControlLineHalfOpen => set(&lines.to_control, Line::HalfOpen),
            ControlLineRefused => set(&lines.to_control, Line::Refused),
            NodeKilled => installation.nodes[1].kill(),
            NodeRestartedWithoutControlPlane => {
                installation.control_planes.iter_mut().for_each(|plane| plane.kill());
                installation.nodes[0].kill();
                installation.restart_node(0).await.unwrap();
            }
            RedisStopped => installation.redis.as_mut().unwrap().stop(),
            RedisFrozen => assert!(installation.redis.as_ref().unwrap().freeze()),
            RedisLineSilent => lines.to_redis[0].set(Line::Silent),
            RedisLineHalfOpen => lines.to_redis[0].set(Line::HalfOpen),
            RedisLineRefused => lines.to_redis[0].set(Line::Refused),
            RedisRestarted => installation.redis.as_mut().unwrap().start_again().unwrap(),
            RedisWiped => installation.redis.as_ref().unwrap().flush().unwrap(),
            RedisWipedWithoutControlPlane => {
                installation.control_planes.iter_mut().for_each(|plane| plane.kill());
                installation.redis.as_ref().unwrap().flush().unwrap();
            }
            RedisWipedWithoutANode => {
                lines.to_control[1].set(Line::Refused);
                let mut calls = 0;
                while calls < 3 {
                    calls += served(&capped[1]).await;
                }
                installation.nodes[1].kill();
                installation.redis.as_ref().unwrap().flush().unwrap();
                return calls;
            }
        }
        0
    }

    /// Ends it: what was killed starts again, what was cut is joined.
    pub(super) async fn end(self, installation: &mut Installation) {
        let lines = &installation.lines;
        match self {
            PostgresStopped => installation.postgres.start_again().unwrap(),
            PostgresSilent => set(&lines.to_postgres, Line::Open),
            ControlPlanesKilled | RedisWipedWithoutControlPlane | NodeRestartedWithoutControlPlane => {
                for index in 0..2 {
                    installation.restart_control_plane(index).await.unwrap();
                }
            }
            OneControlPlaneKilled => installation.restart_control_plane(1).await.unwrap(),
            ControlLineSilent | ControlLineHalfOpen | ControlLineRefused => {
                set(&lines.to_control, Line::Open)
            }
            NodeKilled => installation.restart_node(1).await.unwrap(),
            RedisStopped => installation.redis.as_mut().unwrap().start_again().unwrap(),
            RedisFrozen => assert!(installation.redis.as_ref().unwrap().thaw()),
            RedisLineSilent | RedisLineHalfOpen | RedisLineRefused => lines.to_redis[0].set(Line::Open),
            RedisRestarted | RedisWiped => {}
            RedisWipedWithoutANode => {
                lines.to_control[1].set(Line::Open);
                installation.restart_node(1).await.unwrap();
            }
        }
    }
}

fn set(lines: &[Link], line: Line) {
    lines.iter().for_each(|one| one.set(line));
}
