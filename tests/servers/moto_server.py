"""Runs moto as ``python -m moto.server`` does, but for one thing: conditional puts come one after the other.

moto looks whether the key is there and stores it in two steps, so that of many callers at once two may win now and then.
"""

import sys
from threading import Lock

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

_ONE = Lock()


def _in_turn(application):
    """The same application, that answers one conditional put at a time."""

    def answer(environ, start_response):
        if environ["REQUEST_METHOD"] == "PUT" and "HTTP_IF_NONE_MATCH" in environ:
            with _ONE:
                return application(environ, start_response)
        return application(environ, start_response)

    return answer


if __name__ == "__main__":
    application = _in_turn(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=MotoRequestHandler)
