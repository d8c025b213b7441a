"""Real `helm install --wait`, upgrade, rollback and uninstall of several examples, each in a namespace of its own, all at once.

The stand-in for the API server schedules nothing; it refuses changes of what nobody can change, and keeps the order of what came.
"""
import concurrent.futures, json, urllib.error, urllib.request

# Kinds by path of those that a release may leave.
KINDS = {
    "apps/v1": ["deployments", "statefulsets"],
    "batch/v1": ["jobs"],
    "policy/v1": ["poddisruptionbudgets"],
    "autoscaling/v2": ["horizontalpodautoscalers"],
    "networking.k8s.io/v1": ["ingresses", "networkpolicies"],
    "monitoring.coreos.com/v1": ["servicemonitors", "prometheusrules"],
    "cert-manager.io/v1": ["certificates"],
    "gateway.networking.k8s.io/v1": ["httproutes", "backendtlspolicies"],
    "v1": ["services", "secrets", "configmaps", "serviceaccounts", "pods"],
}


class Release:
    """A release `tg` of one example."""

    def __init__(self, by_helm, address, chart, example, ok):
        self.namespace, self.address, self.told = f"live-{example}", address, ok
        self.arguments = [chart, "-f", chart / f"examples/{example}.yaml", "--wait", "--timeout", "60s"]
        self.by_helm = by_helm

    def ok(self, what, holds, why=""):
        self.told(f"{self.namespace}: {what}", holds, why)

    def helm(self, verb, *sets):
        pairs = [part for value in sets for part in ("--set", value)]
        return self.by_helm(verb, "tg", *self.arguments, *pairs, namespace=self.namespace)

    def back(self):
        return self.by_helm("rollback", "tg", "1", "--wait", namespace=self.namespace)

    def all(self):
        """What there is, by kind and name; Helm's own records are left out."""
        found = {}
        for version, kinds in KINDS.items():
            base = "api/v1" if version == "v1" else f"apis/{version}"
            for kind in kinds:
                with urllib.request.urlopen(f"{self.address}/{base}/namespaces/{self.namespace}/{kind}") as answer:
                    items = json.load(answer)["items"]
                found.update({(kind, item["metadata"]["name"]): item for item in items})
        return {key: item for key, item in found.items() if not key[1].startswith("sh.helm.")}

    def came(self):
        """(verb, kind, name) of everything, in order."""
        with urllib.request.urlopen(f"{self.address}/events/{self.namespace}") as answer:
            return [tuple(event) for event in json.load(answer)]

    def gone(self, but):
        self.by_helm("uninstall", "tg", "--wait", namespace=self.namespace)
        left = set(self.all())
        self.ok("nothing is left but what cannot be made again", left == but, left ^ but)


def hook(release):
    """`production`: migrations in a hook, an HPA, cert-manager, Prometheus' operator, two Ingresses."""
    release.helm("install")
    first, came = release.all(), release.came()
    hpa, nodes, job = ("horizontalpodautoscalers", "tg-tidegate-node-default"), ("statefulsets", "tg-tidegate-node-default"), ("jobs", "tg-tidegate-migrate")
    release.ok("the migration's Job comes first, and goes when it is done", came[0] == ("ADDED", *job) and ("DELETED", *job) in came and job not in first, came[:3])
    release.ok("… before anything else", came.index(("DELETED", *job)) < min(came.index(event) for event in came if event[1] != "jobs"))
    release.ok("an HPA says how many nodes there are, nobody else", hpa in first and "replicas" not in first[nodes]["spec"])
    release.helm("upgrade", "poolDefaults.autoscaling.enabled=false", "controlPlane.replicas=4")
    second = release.all()
    release.ok("without it the chart says so", hpa not in second and second[nodes]["spec"]["replicas"] == 3)
    release.ok("each upgrade migrates", release.came().count(("ADDED", *job)) == 2)
    release.back()
    third = release.all()
    release.ok("a rollback brings everything back", set(third) == set(first) and third["deployments", "tg-tidegate-control"]["spec"]["replicas"] == 3, set(third) ^ set(first))
    release.gone(set())


def job(release):
    """`production` with migrations in an ordinary Job, which nobody can change."""
    release.helm("install", "migrations.mode=job")
    first = release.all()
    jobs = lambda found: {name for kind, name in found if kind == "jobs"}
    release.ok("the first revision has its Job", jobs(first) == {"tg-tidegate-migrate-1"}, jobs(first))
    release.helm("upgrade", "migrations.mode=job", "image.tag=9.9.9")
    second = release.all()
    release.ok("the second has its own, with the new image", jobs(second) == {"tg-tidegate-migrate-2"} and "9.9.9" in json.dumps(second["jobs", "tg-tidegate-migrate-2"]), jobs(second))
    # The positive control: under the same name it would be refused.
    path = f"{release.address}/apis/batch/v1/namespaces/{release.namespace}/jobs/tg-tidegate-migrate-2"
    change = json.dumps({"spec": {"template": {"metadata": {"labels": {"other": "label"}}}}}).encode()
    request = urllib.request.Request(path, method="PATCH", data=change, headers={"content-type": "application/merge-patch+json"})
    try:
        urllib.request.urlopen(request)
        refused = None
    except urllib.error.HTTPError as error:
        refused = error.code
    release.ok("positive control: a Job cannot be changed", refused == 422, refused)
    release.back()
    third = release.all()
    release.ok("a rollback brings everything back", set(third) == set(first), set(third) ^ set(first))
    release.gone(set())


def pools(release):
    """`two-pools`: a pool of its own with an HPA, Jobs for two orphaned journals, generated Secrets."""
    release.helm("install")
    first = release.all()
    ships = lambda found: sorted(name for kind, name in found if kind == "jobs")
    release.ok("the journals' Jobs run beside the nodes", ships(first) == ["tg-tidegate-node-eu-4-ship-1", "tg-tidegate-node-eu-5-ship-1"], ships(first))
    for kind in ("statefulsets", "services", "configmaps", "serviceaccounts"):
        pools = {name for found, name in first if found == kind and name in ("tg-tidegate-node-default", "tg-tidegate-node-eu")}
        release.ok(f"each pool has its {kind}", len(pools) == 2, pools)
    secrets = {name: item["data"] for (kind, name), item in first.items() if kind == "secrets"}
    release.helm("upgrade", "orphanedJournals=null", "pools[1].replicas=2", "pools[1].autoscaling.enabled=false")
    second = release.all()
    release.ok("what is done is taken out", not ships(second))
    release.ok("the second pool is another size", second["statefulsets", "tg-tidegate-node-eu"]["spec"]["replicas"] == 2)
    release.back()
    third = release.all()
    release.ok("a rollback brings everything back", set(third) == set(first), set(third) ^ set(first))
    kept = {name: item["data"] for (kind, name), item in third.items() if kind == "secrets"}
    release.ok("no Secret was made anew", kept == secrets)
    release.gone({("secrets", name) for name in ("tg-tidegate-encryption", "tg-tidegate-admin")})


def releases(by_helm, address, chart, ok):
    """All of them, at once."""
    stories = {"hook": (hook, "production"), "job": (job, "production"), "pools": (pools, "two-pools")}

    def play(name):
        story, example = stories[name]
        release = Release(by_helm, address, chart, example, ok)
        release.namespace = f"live-{name}"
        story(release)

    with concurrent.futures.ThreadPoolExecutor(len(stories)) as players:
        list(players.map(play, stories))
