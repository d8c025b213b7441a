"""The chart's custom resources against the types of cert-manager, the Prometheus operator and the Gateway API.

TypeScript's compiler is the judge: it refuses missing and wrong fields, and fields that a literal has too many, as
`kubectl apply --validate=strict` would with the definitions installed.
"""
import json, subprocess

PACKAGES = ["typescript@5.9.3", "@kubernetes-models/cert-manager@6.0.0", "@kubernetes-models/gateway-api@2.0.0",
            "@kubernetes-models/prometheus-operator@6.0.0"]
PLACES = {
    "Certificate": "cert-manager/cert-manager.io/v1/Certificate",
    "Issuer": "cert-manager/cert-manager.io/v1/Issuer",
    "BackendTLSPolicy": "gateway-api/gateway.networking.k8s.io/v1/BackendTLSPolicy",
    "HTTPRoute": "gateway-api/gateway.networking.k8s.io/v1/HTTPRoute",
    "ServiceMonitor": "prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor",
    "PrometheusRule": "prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
}


def installed(tools):
    folder = tools / "custom"
    if not (folder / ".installed-1").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *PACKAGES], check=True)
        (folder / ".installed-1").touch()
    return folder


def faults(tools, documents):
    """What the compiler says; empty when every document is right."""
    folder = installed(tools)
    kinds = sorted({document["kind"] for document in documents})
    lines = [f'import type {{ I{kind} }} from "@kubernetes-models/{PLACES[kind]}";' for kind in kinds]
    lines += [f"export const x{number}: I{document['kind']} = {json.dumps(document)};" for number, document in enumerate(documents)]
    (folder / "documents.ts").write_text("\n".join(lines))
    options = {"noEmit": True, "strict": True, "skipLibCheck": True, "module": "nodenext", "types": []}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["documents.ts"]}))
    done = subprocess.run(["node_modules/.bin/tsc", "-p", "tsconfig.json"], cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def check(tools, documents, ok):
    kinds = {document["kind"] for document in documents}
    ok("the examples have custom resources of every kind that the chart knows", {"Certificate", "HTTPRoute", "BackendTLSPolicy", "ServiceMonitor", "PrometheusRule"} <= kinds, kinds)
    said = faults(tools, documents)
    ok("custom resources are what their definitions say", not said, said)
    # The positive controls: a field too many, one of another type, one that is missing.
    wrong = []
    for kind, spoil in [
        ("ServiceMonitor", lambda d: d["spec"]["endpoints"][0].update(intervall="30s")),
        ("PrometheusRule", lambda d: d["spec"]["groups"][0]["rules"][0].update(expr=["a"])),
        ("Certificate", lambda d: d["spec"].pop("secretName")),
        ("HTTPRoute", lambda d: d["spec"]["rules"][0].update(backends=[])),
        ("BackendTLSPolicy", lambda d: d["spec"]["validation"].pop("hostname")),
    ]:
        wrong.append(json.loads(json.dumps(next(document for document in documents if document["kind"] == kind))))
        spoil(wrong[-1])
    said = faults(tools, wrong)
    for number, field in enumerate(["intervall", "string[]", "secretName", "backends", "hostname"]):
        ok(f"a {wrong[number]['kind']} with a mistake is refused for it", field in said, said)
