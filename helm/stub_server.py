"""A Kubernetes API server in memory: enough for helm install, upgrade, rollback, test and uninstall.

Nothing is scheduled: whatever is applied is at once in the state that `--wait` waits for.
Usage: stub_server.py PORT
"""

import json, re, sys, time, uuid, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import yaml

R = {
    "v1": [
        ("pods", "Pod", 1),
        ("services", "Service", 1),
        ("secrets", "Secret", 1),
        ("configmaps", "ConfigMap", 1),
        ("serviceaccounts", "ServiceAccount", 1),
        ("namespaces", "Namespace", 0),
        ("persistentvolumeclaims", "PersistentVolumeClaim", 1),
        ("events", "Event", 1),
    ],
    "apps/v1": [
        ("deployments", "Deployment", 1),
        ("statefulsets", "StatefulSet", 1),
        ("replicasets", "ReplicaSet", 1),
        ("daemonsets", "DaemonSet", 1),
    ],
    "batch/v1": [("jobs", "Job", 1), ("cronjobs", "CronJob", 1)],
    "policy/v1": [("poddisruptionbudgets", "PodDisruptionBudget", 1)],
    "autoscaling/v2": [("horizontalpodautoscalers", "HorizontalPodAutoscaler", 1)],
    "networking.k8s.io/v1": [("ingresses", "Ingress", 1), ("networkpolicies", "NetworkPolicy", 1)],
    "rbac.authorization.k8s.io/v1": [
        ("roles", "Role", 1),
        ("rolebindings", "RoleBinding", 1),
        ("clusterroles", "ClusterRole", 0),
        ("clusterrolebindings", "ClusterRoleBinding", 0),
    ],
    "monitoring.coreos.com/v1": [
        ("servicemonitors", "ServiceMonitor", 1),
        ("podmonitors", "PodMonitor", 1),
        ("prometheusrules", "PrometheusRule", 1),
    ],
    "cert-manager.io/v1": [("certificates", "Certificate", 1)],
    "gateway.networking.k8s.io/v1": [("httproutes", "HTTPRoute", 1), ("backendtlspolicies", "BackendTLSPolicy", 1)],
}
# What a real server lets nobody change.
IMMUTABLE = {
    "Job": ["template", "selector", "completionMode"],
    "Deployment": ["selector"],
    "StatefulSet": ["selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"],
}
DB = {}
EV = []
RV = [1]
L = threading.Lock()
LOG = []
VERBS = "create delete deletecollection get list patch update watch".split()


def kind(gv, res):
    return next((k for r, k, _ in R.get(gv, []) if r == res), res)


def finish(o):
    k = o.get("kind")
    if k == "Job":
        o["status"] = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}], "startTime": now(), "completionTime": now()}
    if k == "Deployment":
        n = o["spec"].get("replicas", 1)
        o["status"] = {
            "replicas": n,
            "readyReplicas": n,
            "availableReplicas": n,
            "updatedReplicas": n,
            "observedGeneration": 1,
            "conditions": [{"type": "Available", "status": "True"}],
        }
    if k == "StatefulSet":
        n = o["spec"].get("replicas", 1)
        o["status"] = {
            "replicas": n,
            "readyReplicas": n,
            "availableReplicas": n,
            "updatedReplicas": n,
            "currentReplicas": n,
            "observedGeneration": 1,
            "currentRevision": "r",
            "updateRevision": "r",
        }
    if k == "Certificate":
        o["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    if k == "Pod":
        o["status"] = {"phase": "Succeeded", "containerStatuses": []}
    # What a real server does with the write-only form of a Secret's values.
    if k == "Secret" and o.get("stringData"):
        import base64

        o.setdefault("data", {}).update({a: base64.b64encode(b.encode()).decode() for a, b in o.pop("stringData").items()})
    if k == "PodDisruptionBudget":
        o["status"] = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 1, "expectedPods": 1}
    return o


def pbf(b):
    i = 0
    out = {}

    def vi():
        nonlocal i
        r = s = 0
        while 1:
            c = b[i]
            i += 1
            r |= (c & 127) << s
            s += 7
            if c < 128:
                return r

    while i < len(b):
        t = vi()
        f, w = t >> 3, t & 7
        if w == 2:
            n = vi()
            v = b[i : i + n]
            i += n
        elif w == 0:
            v = vi()
        elif w == 1:
            v = b[i : i + 8]
            i += 8
        else:
            v = b[i : i + 4]
            i += 4
        out.setdefault(f, []).append(v)
    return out


def pb_secret(raw):
    import base64

    u = pbf(raw[4:])
    tm = pbf(u[1][0])
    o = {"apiVersion": tm[1][0].decode(), "kind": tm[2][0].decode()}
    sec = pbf(u[2][0])
    md = pbf(sec[1][0])
    m = {pbf(x)[1][0].decode(): (pbf(x).get(2, [b""])[0]).decode() for x in md.get(11, [])}
    o["metadata"] = {"name": md[1][0].decode(), "labels": m}
    if 6 in md and md[6][0]:
        o["metadata"]["resourceVersion"] = md[6][0].decode()
    if o["kind"] == "Secret":
        o["data"] = {pbf(x)[1][0].decode(): base64.b64encode(pbf(x).get(2, [b""])[0]).decode() for x in sec.get(2, [])}
        if 3 in sec:
            o["type"] = sec[3][0].decode()
    return o


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def merge(a, b):
    for k, v in b.items():
        if v is None:
            a.pop(k, None)
        elif isinstance(v, dict) and isinstance(a.get(k), dict):
            merge(a[k], v)
        else:
            a[k] = v
    return a


class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def out(self, o, c=200):
        b = json.dumps(o).encode()
        self.send_response(c)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def err(self, c, reason, msg):
        self.out({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": msg, "code": c}, c)

    def do(self):
        try:
            self.do_()
        except BrokenPipeError:
            pass

    def do_(self):
        p, _, q = self.path.partition("?")
        m = self.command
        n = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(n) if n else b""
        if mo := re.match(r"^/events/([^/]+)$", p):
            named = [(t, r, o["metadata"]["name"]) for t, _, n_, r, o in EV if n_ == mo[1] and not o["metadata"]["name"].startswith("sh.helm.")]
            return self.out(named)
        if p == "/version":
            return self.out({"major": "1", "minor": "35", "gitVersion": "v1.35.0-stub"})
        if p == "/openapi/v3":
            return self.out(
                {
                    "paths": {
                        ("api/v1" if g == "v1" else "apis/" + g): {
                            "serverRelativeURL": "/openapi/v3/" + ("api/v1" if g == "v1" else "apis/" + g)
                        }
                        for g in R
                    }
                }
            )
        mo = re.match(r"^/openapi/v3/(?:api|apis)/(.+)$", p)
        if mo:
            gv = mo[1]
            base = "/api/v1" if gv == "v1" else "/apis/" + gv
            g, _, v = gv.rpartition("/")
            return self.out(
                {
                    "openapi": "3.0.0",
                    "info": {"title": "k", "version": "v1"},
                    "paths": {
                        base
                        + ("/namespaces/{namespace}" if ns else "")
                        + "/"
                        + r
                        + "/{name}": {
                            "patch": {
                                "operationId": "p" + k,
                                "parameters": [
                                    {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}},
                                    {"name": "dryRun", "in": "query", "schema": {"type": "string"}},
                                ],
                                "responses": {"200": {"description": "OK"}},
                                "x-kubernetes-action": "patch",
                                "x-kubernetes-group-version-kind": {"group": g, "version": v, "kind": k},
                            }
                        }
                        for r, k, ns in R[gv]
                    },
                }
            )
        if p == "/api":
            return self.out({"kind": "APIVersions", "versions": ["v1"]})
        if p == "/apis":
            g = {}
            for gv in R:
                if "/" in gv:
                    g.setdefault(gv.split("/")[0], []).append(gv)
            return self.out(
                {
                    "kind": "APIGroupList",
                    "apiVersion": "v1",
                    "groups": [
                        {
                            "name": k,
                            "versions": [{"groupVersion": x, "version": x.split("/")[1]} for x in v],
                            "preferredVersion": {"groupVersion": v[0], "version": v[0].split("/")[1]},
                        }
                        for k, v in g.items()
                    ],
                }
            )
        mm = re.match(r"^/(?:api|apis)/(v1|[^/]+/[^/]+)$", p)
        if mm and mm[1] in R:
            return self.out(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": mm[1],
                    "resources": [
                        {"name": r, "singularName": "", "namespaced": bool(ns), "kind": k, "verbs": VERBS} for r, k, ns in R[mm[1]]
                    ],
                }
            )
        mm = re.match(r"^/(?:api|apis)/(v1|[^/]+/v[^/]+)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?(/status)?$", p)
        if not mm or mm[1] not in R:
            m2 = re.match(r"^/api/v1/namespaces/([^/]+)$", p)
            if m2:
                return self.out(
                    {
                        "kind": "Namespace",
                        "apiVersion": "v1",
                        "metadata": {"name": m2[1], "uid": "1", "resourceVersion": "1"},
                        "status": {"phase": "Active"},
                    }
                )
            return self.err(404, "NotFound", "no " + p)
        gv, ns, res, name = mm[1], mm[2] or "", mm[3], mm[4]
        with L:
            if m == "GET" and not name:
                sel = {}
                for kv in q.split("&"):
                    if kv.startswith("labelSelector="):
                        from urllib.parse import unquote

                        for e in unquote(kv[14:]).split(","):
                            if "=" in e:
                                a, b = e.split("=", 1)
                                sel[a.strip("!= ")] = b.strip("= ")
                items = [
                    o
                    for (g, n_, r, _), o in DB.items()
                    if g == gv
                    and r == res
                    and (not ns or n_ == ns)
                    and all((o["metadata"].get("labels") or {}).get(a) == b for a, b in sel.items())
                ]
                if "watch=true" in q or "watch=1" in q:
                    from urllib.parse import parse_qs

                    Q = parse_qs(q)
                    fs = Q.get("fieldSelector", [""])[0]
                    nm = fs.split("metadata.name=")[1].split(",")[0] if "metadata.name=" in fs else None
                    want = lambda g, n_, r, o: g == gv and r == res and (not ns or n_ == ns) and (not nm or o["metadata"]["name"] == nm)
                    first = (
                        [{"type": "ADDED", "object": o} for (g, n_, r, _), o in DB.items() if want(g, n_, r, o)]
                        if Q.get("sendInitialEvents") == ["true"] or Q.get("resourceVersion", ["0"])[0] in ("", "0")
                        else []
                    )
                    if Q.get("sendInitialEvents") == ["true"]:
                        first.append(
                            {
                                "type": "BOOKMARK",
                                "object": {
                                    "kind": kind(gv, res),
                                    "apiVersion": gv,
                                    "metadata": {"resourceVersion": str(RV[0]), "annotations": {"k8s.io/initial-events-end": "true"}},
                                },
                            }
                        )
                    pos = len(EV)
                    first = json.loads(json.dumps(first))
                    watch = (want, pos, first, min(int(Q.get("timeoutSeconds", ["30"])[0]), 60))
                else:
                    watch = None
                if watch:
                    pass
                else:
                    return self.out(
                        {"kind": kind(gv, res) + "List", "apiVersion": gv, "metadata": {"resourceVersion": str(RV[0])}, "items": items}
                    )
            key = (gv, ns, res, name)
            if m == "GET" and not name:
                pass
            elif m == "GET":
                return self.out(DB[key]) if key in DB else self.err(404, "NotFound", f'{res} "{name}" not found')
            if m == "GET":
                pass
            elif m == "DELETE":
                o = DB.pop(key, None)
                if o:
                    EV.append(("DELETED", gv, ns, res, o))
                return (
                    self.out({"kind": "Status", "apiVersion": "v1", "status": "Success"})
                    if o
                    else self.err(404, "NotFound", f'{res} "{name}" not found')
                )
            if m != "GET" and raw[:4] == b"k8s\0":
                raw = json.dumps(pb_secret(raw)).encode()
            if m != "GET":
                body = yaml.safe_load(raw) if raw else {}
                RV[0] += 1
            if m == "POST":
                name = body["metadata"]["name"]
                key = (gv, ns, res, name)
                if key in DB:
                    return self.err(409, "AlreadyExists", f'{res} "{name}" already exists')
                code = 201
            elif m == "GET":
                pass
            elif m == "PATCH":
                ct = self.headers.get("Content-Type", "")
                if key not in DB and "apply" not in ct:
                    return self.err(404, "NotFound", "x")
                code = 200 if key in DB else 201
                body = merge(json.loads(json.dumps(DB.get(key, {}))), body)
                was, is_now = DB.get(key, {}).get("spec", {}), body.get("spec") or {}
                changed = [part for part in IMMUTABLE.get(kind(gv, res), []) if key in DB and was.get(part) != is_now.get(part)]
                if changed:
                    return self.err(422, "Invalid", f'{res} "{name}" is invalid: {changed}: field is immutable')
            else:
                code = 200
            if m != "GET":
                body.setdefault("apiVersion", gv)
                body.setdefault("kind", kind(gv, res))
                md = body.setdefault("metadata", {})
                md.setdefault("uid", str(uuid.uuid4()))
                md.setdefault("creationTimestamp", now())
                md["resourceVersion"] = str(RV[0])
                md["generation"] = 1
                if ns:
                    md["namespace"] = ns
                EV.append(("MODIFIED" if key in DB else "ADDED", gv, ns, res, body))
                DB[key] = finish(body)
                return self.out(body, code)
        want, pos, first, tmo = watch
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def put(e):
            d = (json.dumps(e) + "\n").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(d), d))
            self.wfile.flush()

        for e in first:
            put(e)
        end = time.time() + tmo
        while time.time() < end:
            while pos < len(EV):
                t, g, n_, r, o = EV[pos]
                pos += 1
                if want(g, n_, r, o):
                    put({"type": t, "object": o})
            time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
