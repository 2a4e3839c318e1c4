"""Audit Search: what happens in an AWS account, findable in OpenSearch.

The pipeline, in the order in which it works: `envelopes` (a Lambda event becomes object references), `objects` (a
reference becomes a bounded, inflated stream), `records` (the stream becomes the texts of records), `cloudtrail` and
`rebuild` (a text becomes a document, the fast and the exact way), `bulk` (documents become outcomes), `quarantine` (what
can never be indexed is kept), `pipeline` (all of it together).
"""

__version__ = "0.1.0"
