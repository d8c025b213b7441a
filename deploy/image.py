"""What deploy/Dockerfile ships, laid out in a folder: the executable's place, the C library, CA certificates, user names."""
import pathlib, re, shutil, subprocess

# The executable may need these and nothing else: the base image has them.
SHIPPED = re.compile(r"(linux-vdso|ld-linux-[\w-]+|libc|libm|libgcc_s)\.so(\.\d+)?")


def foreign(linked):
    """Names in what `ldd` prints that the image does not have."""
    names = [pathlib.PurePath(line.split()[0]).name for line in linked.splitlines() if line.strip()]
    return [name for name in names if not SHIPPED.fullmatch(name)]


def lay_out(folder, tidegate, names, ok, further=()):
    """The image's files; service names resolve to this machine, as the cluster's or Compose's DNS would have it."""
    for place in ("usr/local/bin", "etc/ssl/certs", "proc", "dev", "tmp", *further):
        (folder / place).mkdir(parents=True)
    (folder / "usr/local/bin/tidegate").touch()  # the executable itself is mounted there
    linked = subprocess.run(["ldd", tidegate], capture_output=True, text=True, check=True).stdout
    ok("the executable needs the C library and libgcc alone", not foreign(linked), foreign(linked))
    more = linked + "\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f0000000000)\n\tlibm.so.6.evil => not found\n"
    ok("positive control: libz and what is only named alike would be refused", foreign(more) == ["libz.so.1", "libm.so.6.evil"], foreign(more))
    for path in (word for line in linked.splitlines() for word in line.split() if word.startswith("/")):
        to = folder / path.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", folder / "etc/ssl/certs")
    (folder / "etc/passwd").write_text("nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
    (folder / "etc/hosts").write_text("127.0.0.1 localhost " + " ".join(names) + "\n")
    (folder / "etc/nsswitch.conf").write_text("hosts: files\n")
