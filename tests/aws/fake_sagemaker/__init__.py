"""A SageMaker of our own for tests, spoken to by the SDKs' ordinary wire protocol.

Map, from the socket inwards:

    __main__     options; prints the address
    server       HTTP: which service and operation a request means, and the record of requests
    control      the routes under /_fake by which a test sets the scene
    faults       errors, hangs and cut connections on demand
    shapes       requests and answers against botocore's service model
    errors       what AWS says when it refuses
    world        everything that exists: one lock, one clock, one ticker
    clock        time that a test moves
    training     operations on training jobs
    job          one training job: its states and when they change
    plan         what a test wants to happen to a job
    work         what really happens during a phase of a job
    container    the container's directory, its process, its log and its checkpoints
    script_mode  what the framework images do: run the script in sourcedir.tar.gz
    storage      S3 and CloudWatch Logs, at the server given by an option
    hosting      models, endpoint configurations, endpoints
    runtime      invocations, whole and as an event stream
    hub          the public hub's documents, files in hub/
    quotas       Service Quotas, and the limits that creation obeys
    pricing      the Price List
    tags         tags of anything with an ARN
    paging       lists a page at a time
"""

ACCOUNT = "123456789012"
