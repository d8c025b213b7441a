"""What the chart makes of its examples."""
import re

from chart import CHART, HERE, must, ok


def enrols(documents):
    """Whether nodes enrol by the seed, and whether by their service account."""
    text = steady(documents)
    return "--seed-file=" in text, any(d["kind"] == "ClusterRole" and "tokenreviews" in str(d["rules"]) for d in documents)


def pods(documents):
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "Pod":
            yield document, spec
        elif "template" in spec:
            yield document, spec["template"]["spec"]


def restricted(example, documents):
    """The restricted pod security standard, and a read-only root."""
    for document, pod in pods(documents):
        where = f"{example}: {document['kind']} {document['metadata']['name']}"
        security = pod["securityContext"]
        ok(f"{where} is non-root", security["runAsNonRoot"] and security["seccompProfile"]["type"] == "RuntimeDefault")
        ok(f"{where} has no token", pod["automountServiceAccountToken"] is False)
        for container in pod["containers"] + pod.get("initContainers", []):
            own = container["securityContext"]
            ok(f"{where} {container['name']} is confined", own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
               and own["capabilities"] == {"drop": ["ALL"]} and container["resources"]["limits"]["memory"])
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            claims = {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
            volumes = {volume["name"] for volume in pod.get("volumes", [])} | claims
            ok(f"{where} {container['name']} mounts what is there", mounted <= volumes, mounted - volumes)
            if container["name"] in ("node", "ship"):
                ok("a node's own container never sees the enroller's seed", "enrolment" not in mounted)
            if container["name"] == "node":
                least = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
                config = next(d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"] == document["metadata"]["name"])
                drain = int(re.search(r"drain_timeout_seconds = (\d+)", config["data"]["tidegate.toml"])[1])
                ok(f"{where} is not killed while it drains", pod["terminationGracePeriodSeconds"] >= least + drain + 40)


def steady(documents):
    """Documents as text, without what is made at random."""
    import yaml

    for document in documents:
        for part in ("data", "stringData"):
            if document["kind"] == "Secret" and part in document:
                document[part] = {key: "made at random" for key in document[part]}
        if document["kind"] == "ConfigMap" and document["metadata"]["name"].endswith("-gateway-ca"):
            document["data"] = {key: "made at random" for key in document["data"]}
        for about in (document["metadata"], document.get("spec", {}).get("template", {}).get("metadata", {})):
            for name in {"tidegate/expires", "tidegate/renew-after", "checksum/certificate"} & set(about.get("annotations", {})):
                about["annotations"][name] = "made at random"
    return "---\n".join(yaml.safe_dump(document, sort_keys=True, width=1000) for document in documents)


def snapshot(example, documents, write):
    """What the example renders to."""
    text = steady(documents)
    file = HERE / "snapshots" / f"{example}.yaml"
    if write:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    ok(f"{example} renders to its snapshot (look at the difference, then helm/check --write)", file.exists() and file.read_text() == text)


def two_pools(documents):
    """Each pool has its own of everything that it must not share, and is told which pool it is."""
    found = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    accounts, redises = set(), set()
    for pool in ("default", "eu"):
        name = f"tg-tidegate-node-{pool}"
        pod = found["StatefulSet", name]["spec"]["template"]["spec"]
        accounts.add(pod["serviceAccountName"])
        redis, = [e["valueFrom"]["secretKeyRef"]["name"] for e in pod["containers"][0]["env"] if e["name"] == "TIDEGATE_REDIS__URL"]
        redises.add(redis)
        ok(f"{pool} says its pool", f'pool = "{pool}"' in found["ConfigMap", name]["data"]["tidegate.toml"])
        allowed = found["ConfigMap", "tg-tidegate-control"]["data"]["tidegate.toml"].split("[[control_plane.kubernetes.allow]]")
        ok(f"{pool} may be joined by its own account only", [pool in a and name in a for a in allowed[1:]].count(True) == 1)
        token, = [v for v in pod["volumes"] if v["name"] == "account"]
        ok(f"{pool}: the token is for the control plane only", token["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "tidegate")
    ok("pools share no service account and no Redis", len(accounts) == len(redises) == 2)
    for pool, name, host in (("default", "gateway", "llm-us"), ("eu", "gateway-eu", "llm-eu")):
        ingress = found["Ingress", f"tg-tidegate-{name}"]
        rule, = ingress["spec"]["rules"]
        ok(f"{pool} has an Ingress of its own", rule["host"] == f"{host}.example.com" and rule["http"]["paths"][0]["backend"]["service"]["name"] == f"tg-tidegate-node-{pool}")
        ok("… of the class and with the annotations of the first", ingress["spec"]["ingressClassName"] == "nginx" and len(ingress["metadata"]["annotations"]) == 2)
        ok("… with its own certificate", ingress["spec"]["tls"][0]["secretName"] == f"{host}-example-com")
    provision = found["Deployment", "tg-tidegate-control"]["spec"]["template"]["spec"]["initContainers"][-1]
    ok("the control plane makes the second pool", "--pool=eu" in provision["args"] and "--pool=default" not in provision["args"])
    rules = found["ClusterRole", "default-tg-tidegate-token-reviews"]["rules"]
    ok("the only right is to ask whose token it is", rules == [{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}])
    for number in (4, 5):
        pod = found["Job", f"tg-tidegate-node-eu-{number}-ship-1"]["spec"]["template"]["spec"]
        claim, = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
        ok(f"the job ships the volume of pod {number}", claim == f"state-tg-tidegate-node-eu-{number}" and "--retire" in pod["containers"][0]["args"])


def copies(helm):
    """The volume of copies: a claim that is given, or one of the chart's; nodes read it, and ask nobody before they start."""
    import yaml

    for given in ("", "tidegate-copies"):
        done = must(helm, "template", "tg", CHART, "-f", CHART / "examples/production.yaml", "--set", f"copy.existingClaim={given}")
        found = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done) if d}
        made = found.get(("PersistentVolumeClaim", "tg-tidegate-copies"))
        ok("the chart makes a claim that many pods can mount where none is given", bool(made) == (not given) and (given or made["spec"]["accessModes"] == ["ReadWriteMany"]))
        for kind, name, writes in (("Deployment", "tg-tidegate-control", True), ("StatefulSet", "tg-tidegate-node-default", False)):
            pod = found[kind, name]["spec"]["template"]["spec"]
            volume, = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if v["name"] == "copies"]
            mount, = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "copies"]
            ok(f"{kind} has it, {'to write' if writes else 'read only'}", volume == (given or "tg-tidegate-copies") and mount.get("readOnly", False) != writes)
        ok("fresh pods ask nobody first", "initContainers" not in pod)


def egress(helm):
    """What may be called out to where egress is restricted, with the proxy and without."""
    import yaml

    def rendered(*sets):
        done = must(helm, "template", "tg", CHART, "-f", CHART / "examples/two-pools.yaml", "--set", "networkPolicy.egressRestricted=true",
                    *[part for value in sets for part in ("--set", value)])
        return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done) if d}

    def ports(found, policy):
        return {port["port"] for rule in found["NetworkPolicy", f"tg-tidegate-{policy}"]["spec"]["egress"] for port in rule.get("ports", [])}

    def proxies(found):
        pods = [found["Deployment", "tg-tidegate-control"], found["StatefulSet", "tg-tidegate-node-default"], found["StatefulSet", "tg-tidegate-node-eu"]]
        envs = [{e["name"]: e for e in pod["spec"]["template"]["spec"]["containers"][0]["env"]} for pod in pods]
        return [(env.get("TIDEGATE_UPSTREAM__PROXY"), "TIDEGATE_UPSTREAM__PROXY_RESOLVES" in env) for env in envs]

    plain = rendered("networkPolicy.databasePort=6432", "networkPolicy.controlPlaneHttpsPorts={443,4318}")
    ok("the control plane reaches DNS, Postgres, the API server, webhooks and collectors", ports(plain, "control") == {53, 6432, 443, 6443, 4318}, ports(plain, "control"))
    ok("nodes reach DNS, the control plane, Redis and providers", ports(plain, "nodes") == {53, 8443, 8081, 6379, 443}, ports(plain, "nodes"))
    ok("no proxy is used that nobody gave", proxies(plain) == [(None, False)] * 3)
    alone = rendered("networkPolicy.controlPlaneHttpsPorts=null", "enrolment.method=seed", "networkPolicy.controlPlaneEgress[0].ports[0].port=5000")
    ok("a control plane that calls nobody is kept from it", ports(alone, "control") == {53, 5432, 5000}, ports(alone, "control"))
    by_proxy = rendered("egressProxy.existingSecret=corporate", "egressProxy.resolves=true", "networkPolicy.proxyPort=8888")
    ok("with a proxy nobody calls out past it", 443 not in ports(by_proxy, "nodes") and {8888} <= ports(by_proxy, "nodes") & ports(by_proxy, "control"))
    given = {"name": "TIDEGATE_UPSTREAM__PROXY", "valueFrom": {"secretKeyRef": {"name": "corporate", "key": "url"}}}
    ok("every pod that calls out is told the proxy", proxies(by_proxy) == [(given, True)] * 3, proxies(by_proxy))


def keepers(helm):
    """Who keeps the key-encryption key: what the control plane is told, mounts, and may reach."""
    import yaml

    def rendered(example, *sets):
        done = must(helm, "template", "tg", CHART, "-f", CHART / f"examples/{example}.yaml", *[part for value in sets for part in ("--set", value)])
        found = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done) if d}
        pod = found["Deployment", "tg-tidegate-control"]["spec"]["template"]["spec"]
        for container in (pod["containers"][0], pod["initContainers"][-1]):
            env = {e["name"]: e["valueFrom"]["secretKeyRef"]["name"] for e in container["env"] if "ENCRYPTION" in e["name"]}
            mounts = {m["mountPath"] for m in container["volumeMounts"]}
        made = ("Secret", "tg-tidegate-encryption") in found
        policy = found["NetworkPolicy", "tg-tidegate-control"]["spec"].get("egress", [])
        return found["ConfigMap", "tg-tidegate-control"]["data"]["tidegate.toml"], env, mounts, made, {p["port"] for rule in policy for p in rule.get("ports", [])}

    toml, env, mounts, made, ports = rendered("vault")
    ok("Vault is told, by the control plane's own token", 'kubernetes_token_file = "/run/secrets/vault/account"' in toml and "/run/secrets/vault" in mounts and not made)
    ok("the Secret from before opens what it sealed", env == {"TIDEGATE_ENCRYPTION__PREVIOUS_KEY": "tg-tidegate-encryption"}, env)
    ok("Vault's port is open", 8200 in ports, ports)
    toml, env, mounts, made, _ = rendered("vault", "encryption.vault.role=", "encryption.vault.tokenSecret=t", "encryption.previous=null")
    ok("a token of Vault's does as well", 'token_file = "/run/secrets/vault/token"' in toml and "kubernetes_role" not in toml and not env)
    toml, env, mounts, made, ports = rendered("aws-kms", "networkPolicy.egressRestricted=true", "egressProxy.url=http://proxy:3128")
    ok("KMS is told, by a token made for AWS", 'token_file = "/run/secrets/kms/account"' in toml and "/run/secrets/kms" in mounts and not env and not made)
    ok("KMS is reached past the proxy", {443, 3128} <= ports, ports)
    toml, env, mounts, made, _ = rendered("aws-kms", "encryption.kms.role=", "encryption.kms.existingSecret=pair", "encryption.previous.keeper=vault",
                                          "encryption.previous.vault.address=https://v:8200", "encryption.previous.vault.key=k", "encryption.previous.vault.role=r")
    ok("a pair of keys does as well", env == {"TIDEGATE_ENCRYPTION__KMS__ACCESS_KEY_ID": "pair"} and "secret_access_key_file" in toml, env)
    ok("Vault from before is told apart", "[encryption.previous_vault]" in toml and "/run/secrets/previous_vault" in mounts)


def sentinels(helm):
    """Nodes are told of their Sentinels, and may reach them."""
    import yaml

    found = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(must(helm, "template", "tg", CHART, "-f", CHART / "examples/sentinel.yaml")) if d}
    toml = found["ConfigMap", "tg-tidegate-node-default"]["data"]["tidegate.toml"]
    node = found["StatefulSet", "tg-tidegate-node-default"]["spec"]["template"]["spec"]["containers"][0]
    env = {e["name"]: e["valueFrom"]["secretKeyRef"]["name"] for e in node["env"] if "REDIS" in e["name"]}
    ports = {p["port"] for rule in found["NetworkPolicy", "tg-tidegate-nodes"]["spec"]["egress"] for p in rule["ports"]}
    ok("nodes are told of their Sentinels", '[redis.sentinel]' in toml and "redis-2.redis:26379" in toml and 'ca_file = "/run/secrets/redis-ca/ca.crt"' in toml)
    ok("… with their password", env == {"TIDEGATE_REDIS__URL": "tidegate-redis", "TIDEGATE_REDIS__SENTINEL__PASSWORD": "tidegate-sentinel"}, env)
    ok("… and reach them", {6379, 26379} <= ports, ports)


def cluster(helm):
    """Nodes are told of their Redis Cluster, and may reach it."""
    import yaml

    found = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(must(helm, "template", "tg", CHART, "-f", CHART / "examples/redis-cluster.yaml")) if d}
    toml = found["ConfigMap", "tg-tidegate-node-default"]["data"]["tidegate.toml"]
    ports = {p["port"] for rule in found["NetworkPolicy", "tg-tidegate-nodes"]["spec"]["egress"] for p in rule["ports"]}
    ok("nodes are told of their cluster", "[redis.cluster]" in toml and "redis-2.redis:6380" in toml and "[redis.sentinel]" not in toml)
    ok("… and reach it", 6380 in ports, ports)
