"""The manifest codec of the core under the contract of all codecs."""

import pytest

from kist.builtin.node_manifest import NodeManifestCodec
from kist.testing import ManifestCodecContract


class TestNodes(ManifestCodecContract):
    @pytest.fixture
    def codec(self):
        return NodeManifestCodec()
