//! A Redis Cluster: every slot served, every primary fit, and one primary's outage none of the others'.

use tidegate_limits::{ClusterSurvey, RedisSettings};
use tidegate_telemetry::SystemClock;

use super::counters;
use super::finding::Findings;

/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// Looks at the cluster that the settings name.
pub(super) async fn look(settings: &RedisSettings, findings: &mut Findings) {
    match tidegate_limits::survey_cluster(settings, &SystemClock).await {
        Ok(seen) => judge(&seen, findings),
        Err(why) => findings.failed("redis.cluster", why, "mend redis.cluster"),
    }
}

fn judge(seen: &ClusterSurvey, findings: &mut Findings) {
    let silent = seen.seeds.iter().filter_map(|(at, told)| Some(format!("{at}: {}", told.as_ref().err()?)));
    let silent: Vec<String> = silent.collect();
    let (all, answer) = (seen.seeds.len(), seen.seeds.len() - silent.len());
    if answer == 0 {
        let advice = "look at redis.cluster.addresses, and at user, password and scheme of redis.url";
        return findings.failed("redis.cluster", silent.join("; "), advice);
    }
    if silent.is_empty() {
        findings.ok("redis.cluster", format!("{all} of {all} named nodes answer"));
    } else {
        let saw = format!("{answer} of {all} named nodes answer; {}", silent.join("; "));
        findings.warning(
            "redis.cluster",
            saw,
            "one that answers is enough, until it is the one that is away",
        );
    }
    let saw = format!("{} of {SLOTS} are served, by {} primaries", seen.slots, seen.primaries.len());
    if seen.slots < SLOTS {
        let advice = "redis-cli --cluster check, then fix: organizations of the others are refused";
        findings.failed("redis.cluster slots", saw, advice);
    } else if seen.stands {
        findings.ok("redis.cluster slots", saw);
    } else {
        findings.failed(
            "redis.cluster slots",
            format!("{saw}, and cluster_state is not ok"),
            "redis-cli --cluster check: a primary is away and nobody took its place",
        );
    }
    match seen.full_coverage {
        Some(false) => findings.ok("redis.cluster coverage", "cluster-require-full-coverage is no"),
        Some(true) => findings.warning(
            "redis.cluster coverage",
            "cluster-require-full-coverage is yes: while one primary is away, no organization is served",
            "CONFIG SET cluster-require-full-coverage no, on every node and in its file",
        ),
        None => findings.ok(
            "redis.cluster coverage",
            "not told to this user: cluster-require-full-coverage should be no",
        ),
    }
    for (at, looked) in &seen.primaries {
        match looked {
            Ok(seen) => counters::fit(Some(at), seen, findings),
            Err(why) => findings.failed(
                format!("redis primary ({at})"),
                why,
                "it must be reached from here under the address that the cluster announces (cluster-announce-hostname, \
                 cluster-announce-ip), and by TLS under the name of its certificate",
            ),
        }
    }
}
