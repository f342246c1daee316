"""moto's server with one correction: 5.2.5 calls the root of a list of parts `ListPartsResponse`; S3 and every SDK call it
`ListPartsResult`."""

from moto.core.serialize import S3Serializer
from moto.server import main

plain = S3Serializer._serialize_body
S3Serializer._serialize_body = lambda self, body: plain(self, body).replace("ListPartsResponse", "ListPartsResult")
main()
