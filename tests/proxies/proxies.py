"""The shipped recipes as running proxies. A test may change what differs from machine to machine (ports, host name,
certificate, where logs go) and nothing else; each change must find its text."""

import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import harness
import httpx

DEPLOY = harness.ROOT / "deploy"
HOST = "localhost"


def recipe(name, *changes):
    """The text of a recipe with each (old, new, how often) carried out."""
    text = (DEPLOY / name).read_text()
    for old, new, times in changes:
        found = text.count(old)
        assert found == times, f"deploy/{name} has {old!r} {found} times, not {times}"
        text = text.replace(old, new)
    return text


def needs(program):
    """Skips a test, and says so, where there is no such proxy."""
    said = f"SKIPPED: no {program} here (scripts/setup-proxies says why)"
    return unittest.skipUnless(shutil.which(program), said)


class Proxy:
    """One process in front of `backends`, with a directory of its own for all that it writes."""

    def __init__(self, backends):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="alter-proxy-"))
        self.port, self.plain_port = harness.free_port(), harness.free_port()
        command = self.prepare([f"127.0.0.1:{port}" for port in backends])
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.dir)}
        with open(self.dir / "output.log", "w") as output:
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=self.dir)
        for _ in range(600):
            try:
                # A certificate is shown; no backend is asked.
                return raw(self.port, "127.0.0.1").close()
            except OSError:
                assert self.process.poll() is None, self.written()
                time.sleep(0.05)
        raise RuntimeError("the proxy did not start: " + self.written())

    def client(self, source="127.0.0.1", **more):
        return Client(self.port, source, **more)

    def written(self):
        """Everything that the proxy has written: logs, and whatever else."""
        files = [path for path in self.dir.rglob("*.log")]
        return "\n".join(path.read_text(errors="replace") for path in files)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.dir)


class Nginx(Proxy):
    def prepare(self, backends):
        key, certificate = self.dir / "key.pem", self.dir / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )
        first, *others = backends
        second = f"    server {others[0]} max_fails=0;" if others else ""
        six = "listen [::1]:" if has_ipv6() else "listen 127.0.0.2:"
        site = recipe(
            "nginx.conf",
            ("server 127.0.0.1:8700 max_fails=0;", f"server {first} max_fails=0;", 1),
            ("    #server 192.0.2.2:8700 max_fails=0;", second, 1),
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl", 1),
            ("listen [::]:443 ssl", f"{six}{self.port} ssl", 1),
            ("listen 80;", f"listen 127.0.0.1:{self.plain_port};", 1),
            ("listen [::]:80;", f"{six}{self.plain_port};", 1),
            ("server_name connect.example.com;", f"server_name {HOST};", 2),
            ("/etc/ssl/connect.example.com/fullchain.pem", str(certificate), 1),
            ("/etc/ssl/connect.example.com/privkey.pem", str(key), 1),
            ("/var/log/nginx/", f"{self.dir}/", 3),
        )
        (self.dir / "alter.conf").write_text(site)
        temp = "".join(f"{kind}_temp_path {self.dir}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.dir / "nginx.conf").write_text(
            f"daemon off; worker_processes 2; pid {self.dir}/pid; worker_rlimit_nofile 4096;\n"
            "events { worker_connections 2048; }\n"
            # As Debian has it, and worse: whatever a machine compresses, the recipe is not to.
            f"http {{ access_log off; gzip on; gzip_proxied any; gzip_types *; {temp} include {self.dir}/alter.conf; }}\n"
        )
        command = ["nginx", "-p", self.dir, "-e", self.dir / "main.log", "-c", self.dir / "nginx.conf"]
        tried = subprocess.run([*command, "-t"], capture_output=True, text=True)
        assert tried.returncode == 0, tried.stderr
        # From 1.25.1 on, nginx calls one word of the recipe old, as the recipe says.
        warnings = [line for line in tried.stderr.splitlines() if "[warn]" in line and "http2" not in line]
        assert not warnings, warnings
        return command


class Caddy(Proxy):
    file = "Caddyfile.compose"
    upstream = "reverse_proxy alter-1:8700 alter-2:8700"

    def prepare(self, backends):
        site = recipe(
            self.file,
            # No certificate authority is asked or installed; nothing listens beside the site.
            ("{\n\tservers {", f"{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {self.plain_port}\n\tservers {{", 1),
            ("connect.example.com {", f"https://{HOST}:{self.port} {{", 1),
            (self.upstream, "reverse_proxy " + " ".join(backends), 1),
        )
        (self.dir / "Caddyfile").write_text(site)
        return ["caddy", "run", "--config", self.dir / "Caddyfile", "--adapter", "caddyfile"]


class OneCaddy(Caddy):
    file = "Caddyfile"
    upstream = "reverse_proxy 127.0.0.1:8700"


class Client:
    """Sends requests to a proxy over kept connections, from an address of its own."""

    def __init__(self, port, source, **more):
        transport = httpx.HTTPTransport(verify=False, local_address=source)
        self.http = httpx.Client(base_url=f"https://127.0.0.1:{port}", transport=transport, timeout=60, **more)

    def send(self, method, path, *, host=HOST, **more):
        headers = {"Host": host, **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, extensions={"sni_hostname": HOST}, **more)

    def get(self, path, **more):
        return self.send("GET", path, **more)

    def post(self, path, **more):
        return self.send("POST", path, **more)


def raw(port, source):
    """A TLS connection to a proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Later versions send tickets, so that a connection looks as if an answer had come.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    plain = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
    return context.wrap_socket(plain, server_hostname=HOST)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False
