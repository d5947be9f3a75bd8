"""Reads the body of a request, which the standard library's server leaves to its user."""

from http.server import BaseHTTPRequestHandler


def read(request: BaseHTTPRequestHandler) -> bytes:
    """The whole body, by its length or in chunks."""
    if "chunked" not in request.headers.get("Transfer-Encoding", ""):
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body
