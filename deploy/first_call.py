"""What the chart's NOTES tell a person to type, typed: by a shell, with the real `tidegate` and curl.

`kubectl` is a stand-in that reads the Secrets and ConfigMaps which try-pods lays out, and forwards nothing, since all pods
are on this machine; it refuses what is not there. The provider is a stand-in at its usual name.
"""
import http.server, json, os, re, ssl, subprocess, sys, threading

KEY = "sk-of-the-first-call"
HOST, ADDRESS = "api.openai.com", "127.0.0.2"
KUBECTL = r'''#!{python}
import base64, json, re, sys
objects, asked = json.load(open("{objects}")), " ".join(sys.argv[1:])
if found := re.fullmatch(r"-n trial get (secret|configmap) (\S+) -o jsonpath=\{{\.data\.(\S+)\}}", asked):
    kind = {{"secret": "Secret", "configmap": "ConfigMap"}}[found[1]]
    print(objects[kind + "/" + found[2]]["data"][found[3].replace("\\.", ".")], end="")
elif found := re.fullmatch(r"-n trial port-forward service/(\S+) (\d+):(\d+)", asked):
    ports = {{str(port["port"]): port["targetPort"] for port in objects["Service/" + found[1]]["spec"]["ports"]}}
    # What listens behind it listens on this machine.
    print("Forwarding from 127.0.0.1:" + found[2], "to", ports[found[3]])
elif found := re.fullmatch(r"-n trial rollout status (deployment|statefulset)/(\S+)", asked):
    objects[{{"deployment": "Deployment", "statefulset": "StatefulSet"}}[found[1]] + "/" + found[2]]
else:
    sys.exit("kubectl: " + asked)
'''


def provider(certificate, key):
    """A stand-in for the provider at its usual name; takes one key."""

    class Provider(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known = self.headers.get("authorization") == f"Bearer {KEY}"
            message = {"role": "assistant", "content": "Hello from the provider"}
            answer = {"id": "c-1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                      "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}}
            text = json.dumps(answer if known else {"error": {"message": "no such key", "code": "invalid_api_key"}}).encode()
            self.send_response(200 if known else 401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = http.server.ThreadingHTTPServer((ADDRESS, 443), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def steps(notes):
    """The commands of each numbered step: what is indented under it."""
    parts = re.split(r"^(\d)\. ", notes.split("NOTES:\n")[1], flags=re.M)
    # A paragraph that is not indented ends the last step.
    section = lambda text: "\n".join(line for line in re.split(r"\n\n(?=\S)", text)[0].splitlines() if line.startswith("     "))
    return {int(number): section(text) for number, text in zip(parts[1::2], parts[2::2])}


class Shell:
    """A person's shell: PATH with `tidegate`, kubectl and the system's own, and nothing set."""

    def __init__(self, folder, tidegate):
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/tidegate").symlink_to(tidegate)
        kubectl = folder / "bin/kubectl"
        kubectl.write_text(KUBECTL.format(python=sys.executable, objects=folder / "objects.json"))
        kubectl.chmod(0o755)

    def types(self, commands, objects, **variables):
        """Runs commands as if pasted, each must succeed; answers the status, what was printed, what was said, and the key that they made."""
        with open(os.open(self.folder / "objects.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({f"{kind}/{name}": found for (kind, name), found in objects.items()}, file)
        environment = {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "HOME": str(self.folder), "KEY": "", **variables}
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", commands + "\nprintf '\\n--- %s' \"$KEY\""], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        printed, _, key = done.stdout.rpartition("\n--- ")
        return done.returncode, printed or done.stdout, done.stderr, key
