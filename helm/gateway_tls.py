"""TLS of the gateways: the authority and certificates that the chart makes, and what a Gateway is told to speak to them.

The generated ones are looked at by openssl, after installs and upgrades against the stand-in for the API server.
"""
import base64, json, subprocess, tempfile, urllib.request

SECRET, CA = "tls-tidegate-gateway-tls", "tls-tidegate-gateway-ca"
NEW_CA = "THE GATEWAY HAS A NEW AUTHORITY"


def openssl(*arguments, text):
    return subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True)


def signed(certificate, authority):
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(authority)
        file.flush()
        return openssl("verify", "-CAfile", file.name, "-purpose", "sslserver", text=certificate).returncode == 0


def has_name(certificate, name):
    return "does match" in openssl("x509", "-noout", "-checkhost", name, text=certificate).stdout


def lasts(certificate, days):
    return openssl("x509", "-noout", "-checkend", str(days * 86400), text=certificate).returncode == 0


class Cluster:
    """A release `tls` in the stand-in: its installs and upgrades, and its Secrets."""

    def __init__(self, by_helm, address, chart):
        self.by_helm, self.address, self.chart = by_helm, address, chart

    def helm(self, verb, *sets):
        pairs = [part for value in ("tls.mode=generated", *sets) for part in ("--set", value)]
        return self.by_helm(verb, "tls", *self.chart, *pairs)

    def ask(self, method, name, body=None, api="api/v1", kind="secrets"):
        request = urllib.request.Request(f"{self.address}/{api}/namespaces/trial/{kind}/{name}".rstrip("/"), method=method, data=json.dumps(body).encode() if body else None,
                                         headers={"content-type": "application/merge-patch+json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def note(self, name, **annotations):
        self.ask("PATCH", name, {"metadata": {"annotations": {f"tidegate/{key.replace('_', '-')}": value for key, value in annotations.items()}}})

    def seen(self):
        """Secrets of the authority and the certificate as text, and what makes pods start anew."""
        read = lambda name: {key: base64.b64decode(value).decode() for key, value in self.ask("GET", name)["data"].items()}
        pods = self.ask("GET", "tls-tidegate-node-default", api="apis/apps/v1", kind="statefulsets")["spec"]["template"]
        return read(CA), read(SECRET), pods["metadata"]["annotations"]["checksum/certificate"]


def generated(by_helm, address, chart, ok):
    """The authority stays; certificates follow names and time."""
    cluster = Cluster(by_helm, address, chart)
    ok("a first authority is not told as a new one", NEW_CA not in cluster.helm("install"))
    first = ca, leaf, _ = cluster.seen()
    ok("the certificate is signed by the authority", signed(leaf["tls.crt"], ca["ca.crt"]) and leaf["ca.crt"] == ca["ca.crt"])
    ok("… for the names of the pool's Service, and no other", has_name(leaf["tls.crt"], "tls-tidegate-node-default.trial.svc") and not has_name(leaf["tls.crt"], "llm.example.com"))
    ok("it lasts ten years, its authority longer", lasts(leaf["tls.crt"], 3640) and not lasts(leaf["tls.crt"], 3660) and lasts(ca["ca.crt"], 7300))
    public = cluster.ask("GET", CA, kind="configmaps")["data"]
    ok("a ConfigMap has the authority without its key", public == {"ca.crt": ca["ca.crt"]}, public.keys())
    mounted = [kind for kind in ("statefulsets", "deployments") if f'"secretName": "{CA}"' in json.dumps(cluster.ask("GET", "", api="apis/apps/v1", kind=kind))]
    ok("no pod mounts the authority's key", not mounted, mounted)
    cluster.helm("upgrade")
    ok("an upgrade that changes no name keeps every byte", cluster.seen() == first)
    names_follow(cluster, first, ok)
    time_passes(cluster, ok)
    authority_goes(cluster, ok)
    last = cluster.seen()
    by_helm("uninstall", "tls")
    ok("authority and certificate outlive the release", [cluster.ask("GET", name)["metadata"]["name"] for name in (CA, SECRET)] == [CA, SECRET])
    cluster.helm("install")
    ok("… and are found again", cluster.seen() == last)


def names_follow(cluster, first, ok):
    sets = ["tls.extraNames={llm.example.com}", "tls.serverName=gateway.example.com", "gatewayIngress.host=ingress.example.com", "pools[0].name=default", "pools[1].name=eu"]
    said = cluster.helm("upgrade", *sets)
    ca, leaf, checksum = cluster.seen()
    ok("with other names the authority is the same, and nothing is told", ca == first[0] and NEW_CA not in said)
    ok("… it has signed another certificate", leaf["tls.crt"] != first[1]["tls.crt"] and signed(leaf["tls.crt"], first[0]["ca.crt"]))
    for name in ("llm.example.com", "gateway.example.com", "ingress.example.com", "tls-tidegate-node-eu.trial.svc", "tls-tidegate-node-default"):
        ok(f"… which has {name}", has_name(leaf["tls.crt"], name))
    ok("… and nodes start anew with it", checksum != first[2])
    cluster.helm("upgrade", *sets)
    ok("the same names again keep every byte", cluster.seen() == (ca, leaf, checksum))
    cluster.helm("upgrade")
    ok("a name that is taken away is gone", not has_name(cluster.seen()[1]["tls.crt"], "llm.example.com") and cluster.seen()[0] == ca)


def time_passes(cluster, ok):
    before = cluster.seen()
    cluster.note(SECRET, renew_after="2999-01-01T00:00:00Z")
    cluster.helm("upgrade")
    ok("before the last third nothing is renewed", cluster.seen() == before)
    cluster.note(SECRET, renew_after="2020-01-01T00:00:00Z")
    cluster.helm("upgrade")
    ca, leaf, checksum = cluster.seen()
    ok("in the last third a certificate is renewed by the same authority", ca == before[0] and leaf["tls.crt"] != before[1]["tls.crt"] and signed(leaf["tls.crt"], ca["ca.crt"]))
    cluster.helm("upgrade")
    ok("… once", cluster.seen() == (ca, leaf, checksum))
    # Ten days are left to the authority, by its annotation.
    import datetime

    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=10, hours=1)
    cluster.note(CA, expires=soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
    cluster.helm("upgrade", "tls.extraNames={short.example.com}")
    leaf = cluster.seen()[1]["tls.crt"]
    ok("no certificate outlives its authority", has_name(leaf, "short.example.com") and lasts(leaf, 9) and not lasts(leaf, 11))
    cluster.note(CA, renew_after="2020-01-01T00:00:00Z")
    said = cluster.helm("upgrade")
    new, leaf, _ = cluster.seen()
    ok("in its own last third the authority is replaced, and NOTES say so", new["ca.crt"] != ca["ca.crt"] and signed(leaf["tls.crt"], new["ca.crt"]) and NEW_CA in said)
    ok("… by which nothing from before is vouched for", not signed(leaf["tls.crt"], ca["ca.crt"]))


def authority_goes(cluster, ok):
    """As a release leaves it that an earlier chart made: a certificate without notes, and no key of its authority."""
    before = cluster.seen()[0]
    cluster.ask("DELETE", CA)
    cluster.note(SECRET, names=None, expires=None, renew_after=None)
    said = cluster.helm("upgrade")
    ca, leaf, _ = cluster.seen()
    ok("without the authority's key there is a new authority, and NOTES say so", ca["ca.crt"] != before["ca.crt"] and signed(leaf["tls.crt"], ca["ca.crt"]) and NEW_CA in said)
    ok("the next upgrade keeps it, and says nothing", NEW_CA not in cluster.helm("upgrade") and cluster.seen()[:2] == (ca, leaf))


def routes(template, ok):
    """What the HTTPRoute's Gateway is told of the port behind it."""
    import yaml

    def rendered(*values):
        found = [d for d in yaml.safe_load_all(template(*[part for value in values for part in ("--set", value)])) if d]
        return {(d["kind"], d["metadata"]["name"]): d for d in found}

    def policy(*values):
        """Hostname, and by what the certificate is held, where there is a policy for the route's own Service."""
        found = rendered(*values)
        backend = found["HTTPRoute", "tg-tidegate-gateway"]["spec"]["rules"][0]["backendRefs"][0]
        told = found.get(("BackendTLSPolicy", "tg-tidegate-gateway"))
        ok(f"{values}: the route's port is one of its Service", backend["port"] in [port["port"] for port in found["Service", backend["name"]]["spec"]["ports"]])
        if told is None:
            return backend["port"], None, None
        ok(f"{values}: the policy is for the route's Service", told["spec"]["targetRefs"] == [{"group": "", "kind": "Service", "name": backend["name"]}])
        validation = dict(told["spec"]["validation"])
        name = validation.pop("hostname")
        (by, vouches), = validation.items()
        return backend["port"], name, vouches if by == "wellKnownCACertificates" else [ref["kind"] + " " + ref["name"] for ref in vouches]

    service = "tg-tidegate-node-default.default.svc"
    ok("a Gateway speaks TLS to a port that does, by the generated authority", policy() == (443, service, ["ConfigMap tg-tidegate-gateway-ca"]), policy())
    own = rendered()
    certificate = base64.b64decode(own["Secret", "tg-tidegate-gateway-tls"]["data"]["tls.crt"]).decode()
    authority = own["ConfigMap", "tg-tidegate-gateway-ca"]["data"]["ca.crt"]
    ok("… which has signed a certificate with that name", has_name(certificate, service) and signed(certificate, authority))
    ok("the name can be told", policy("tls.serverName=llm.example.com")[1] == "llm.example.com")
    issuer = ["tls.mode=certManager", "tls.certManager.issuerRef.name=internal"]
    ok("other certificates are vouched for by public roots", policy(*issuer) == (443, service, "System"), policy(*issuer))
    ok("… or by those of a ConfigMap", policy(*issuer, "tls.caConfigMap=roots")[2] == ["ConfigMap roots"])
    named = rendered(*issuer, "tls.serverName=llm.example.com")["Certificate", "tg-tidegate-gateway"]["spec"]["dnsNames"]
    ok("cert-manager is asked for the name", "llm.example.com" in named and service in named, named)
    given = policy("tls.mode=existingSecret", "tls.existingSecret=given", "tls.serverName=llm.example.com")
    ok("a given certificate is asked for by the name that is told", given == (443, "llm.example.com", "System"), given)
    second = ["pools[0].name=default", "pools[1].name=eu", "pools[1].redis.existingSecret=eu", "pools[1].httpRoute.hostnames={llm-eu.example.com}", "pools[1].ingress.host=in-eu.example.com"]
    found = rendered(*second)
    route, told = found["HTTPRoute", "tg-tidegate-gateway-eu"]["spec"], found["BackendTLSPolicy", "tg-tidegate-gateway-eu"]["spec"]
    ok("a second pool's route leads to its own Service", route["rules"][0]["backendRefs"] == [{"name": "tg-tidegate-node-eu", "port": 443}] and route["hostnames"] == ["llm-eu.example.com"])
    ok("… by the Gateways of the first", route["parentRefs"] == found["HTTPRoute", "tg-tidegate-gateway"]["spec"]["parentRefs"])
    ok("… over TLS by its own name", told["targetRefs"][0]["name"] == "tg-tidegate-node-eu" and told["validation"]["hostname"] == "tg-tidegate-node-eu.default.svc")
    certificate = base64.b64decode(found["Secret", "tg-tidegate-gateway-tls"]["data"]["tls.crt"]).decode()
    ok("… which the certificate has, as it has its Ingress's", has_name(certificate, "tg-tidegate-node-eu.default.svc") and has_name(certificate, "in-eu.example.com"))
    ok("the first pool keeps its own", policy(*second)[1] == service)
    ok("a second pool may have a route where the first has none", ("HTTPRoute", "tg-tidegate-gateway") not in rendered(*second, "httpRoute.enabled=false") and ("HTTPRoute", "tg-tidegate-gateway-eu") in rendered(*second, "httpRoute.enabled=false"))
    ok("without TLS there is none", policy("tls.mode=none") == (80, None, None))
    ok("where the Gateway API knows none it can be left out", policy("httpRoute.backendTLSPolicy=false") == (443, None, None))
