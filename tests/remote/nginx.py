"""nginx as a location: plain and with TLS, client certificates, basic and bearer
authentication, listings in JSON and HTML, without WebDAV, and as Bazel's cache."""
import contextlib, os, shutil, subprocess

import support

NEEDS = ["nginx", "openssl"]
DAV = "dav_methods PUT DELETE MKCOL MOVE; create_full_put_path on; dav_access user:rw group:rw all:r; client_max_body_size 0; min_delete_depth 0;"
TOKEN = "s3cr3t-t0k3n"


def certificates(folder):
    """ca, server and client, each .crt and .key"""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=tarn test",
            "-addext", "basicConstraints=critical,CA:TRUE")
    with open(f"{folder}/ext", "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for name in "server", "client":
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-out", f"{name}.crt", "-extfile", "ext")


def configuration(folder, port, location, server="", http="", listen=""):
    return f"""
daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error info;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type application/octet-stream; keepalive_requests 100000; {http}
  server {{ listen 127.0.0.1:{port} {listen}; {server} location / {{ root {folder}/www; {location} }} }}
}}
"""


@contextlib.contextmanager
def serving(folder, location, scheme="http", user="", options="put=1", env=None, **more):
    port = support.free_port()
    for name in "www", "own":
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    with open(f"{folder}/conf", "w") as f:
        f.write(configuration(folder, port, location, **more))
    words = ["nginx", "-e", f"{folder}/error", "-p", folder, "-c", f"{folder}/conf"]
    with support.running(words, folder, lambda: support.listens(port)):
        yield support.Server(f"{scheme}://{user}127.0.0.1:{port}/{{}}?{options}", env or {}, port=port, www=f"{folder}/www",
                             scheme=scheme, options=options, user=user)


def plain(folder):
    return serving(folder, f"{DAV} autoindex on; autoindex_format json;")


def html(folder):
    return serving(folder, f"{DAV} autoindex on;")


def bare(folder):
    """No MOVE, no folders made for a PUT, sizes in listings are rounded."""
    return serving(folder, "dav_methods PUT DELETE MKCOL; client_max_body_size 0; autoindex on; autoindex_exact_size off;")


def tls(folder):
    certificates(folder)
    return serving(folder, f"{DAV} autoindex on; autoindex_format json;", scheme="https", listen="ssl http2",
                   server=f"ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;"
                   f" ssl_client_certificate {folder}/ca.crt; ssl_verify_client on;",
                   options=f"put=1&ca={folder}/ca.crt&cert={folder}/client.crt&key={folder}/client.key")


def basic(folder):
    password = subprocess.run(["openssl", "passwd", "-apr1", "p:w@/d"], capture_output=True, text=True, check=True).stdout
    with open(f"{folder}/htpasswd", "w") as f:
        f.write(f"us er:{password}")
    os.chmod(f"{folder}/htpasswd", 0o644)
    return serving(folder, f"{DAV} autoindex on; autoindex_format json; auth_basic tarn; auth_basic_user_file {folder}/htpasswd;",
                   user="us%20er:p%3Aw%40%2Fd@")


def bearer(folder):
    with open(f"{folder}/token", "w") as f:
        f.write(f"{TOKEN}\n")
    return serving(folder, f"{DAV} autoindex on; autoindex_format json; if ($allowed = 0) {{ return 401; }}",
                   http=f'map $http_authorization $allowed {{ default 0; "Bearer {TOKEN}" 1; }}',
                   options=f"put=1&token_file={folder}/token")


def bazel(folder):
    return serving(folder, f"{DAV} autoindex on; autoindex_format json;", options="put=1&layout=bazel")


SERVERS = {"nginx": plain, "nginx html": html, "nginx bare": bare, "nginx tls": tls, "nginx basic": basic,
           "nginx bearer": bearer, "nginx bazel": bazel}
