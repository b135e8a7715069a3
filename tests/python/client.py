"""A client of usaged that shares no code with it: stubs made from proto/, and what the API promises.

Usage: client.py ADDRESS STUBS everything|refusal. Prints one JSON object with what it saw;
tests/it/python_client.rs says what that has to be.
"""

import base64
import json
import queue
import sys
import uuid

ADDRESS, STUBS, TASK = sys.argv[1:]
sys.path.insert(0, STUBS)

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from google.protobuf.descriptor_pool import DescriptorPool

from usaged.admin.v1 import admin_pb2, admin_pb2_grpc
from usaged.drain.v1 import drain_pb2, drain_pb2_grpc
from usaged.ingest.v1 import ingest_pb2, ingest_pb2_grpc

TIMEOUT = 20


def of(customer):
    """The call metadata that names the customer."""
    return (("usaged-customer", customer),)


def event(number):
    values = {
        "host": ingest_pb2.Value(string_value="ESX-1.example.com."),
        "mac": ingest_pb2.Value(string_value="00-50-56-A1-B2-C3"),
        "vcpus": ingest_pb2.Value(int_value=8),
        "power_state": ingest_pb2.Value(string_value="on"),
        "uptime_s": ingest_pb2.Value(int_value=number),
        "made_up": ingest_pb2.Value(bool_value=True),
    }
    fields = [ingest_pb2.Field(name=name, value=value) for name, value in values.items()]
    return ingest_pb2.Event(name="vm.inventory", fields=fields)


def request(number, batch_id=None):
    return ingest_pb2.SubmitRequest(
        batch_id=batch_id or str(uuid.uuid4()), product="vcenter", instance="vc-1", events=[event(number)]
    )


def receipt(response):
    return {
        "state": ingest_pb2.SubmitResponse.State.Name(response.state),
        "commit": response.commit_number,
        "accepted_events": response.accepted_events,
        "accepted_fields": response.accepted_fields,
        "withheld_fields": {ingest_pb2.Reason.Name(one.reason): one.count for one in response.withheld_fields},
        "withheld": [[one.place, ingest_pb2.Reason.Name(one.reason)] for one in response.withheld],
        "levels": {one.program: one.level for one in response.effective_levels},
        "policy_version": response.policy_version,
    }


def refusal(call):
    """What a refused call says: code, and the google.rpc details."""
    try:
        call()
    except grpc.RpcError as error:
        told = {"code": error.code().name, "message": error.details()}
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        for detail in status.details:
            for kind in (error_details_pb2.RetryInfo, error_details_pb2.BadRequest, error_details_pb2.ErrorInfo):
                if detail.Is(kind.DESCRIPTOR):
                    message = kind()
                    detail.Unpack(message)
                    if kind is error_details_pb2.RetryInfo:
                        told["retry_ms"] = message.retry_delay.ToMilliseconds()
                    elif kind is error_details_pb2.BadRequest:
                        told["fields"] = [one.field for one in message.field_violations]
                    else:
                        told["reason"], told["domain"] = message.reason, message.domain
        return told
    raise AssertionError("the call was not refused")


def token_text(prefix, token):
    return prefix + base64.b32hexencode(token).decode().rstrip("=").lower()


def value_text(spec, value):
    kind = value.WhichOneof("kind")
    return token_text(spec.token_prefix, value.token_value) if kind == "token_value" else getattr(value, kind)


def rendered(batch):
    """The events of a drained batch as plain dictionaries, pseudonyms as text."""
    return [
        {batch.fields[one.field].path: value_text(batch.fields[one.field], one.value) for one in event.fields}
        for event in batch.events
    ]


def uptimes(batches):
    return [one["uptime_s"] for received in batches for one in rendered(received.batch)]


def send(channel, said):
    ingest = ingest_pb2_grpc.IngestServiceStub(channel)
    first = request(1)
    said["stored"] = receipt(ingest.Submit(first, metadata=of("acme"), timeout=TIMEOUT))
    said["again"] = receipt(ingest.Submit(first, metadata=of("acme"), timeout=TIMEOUT))
    said["disabled"] = receipt(ingest.Submit(request(2), metadata=of("nobody"), timeout=TIMEOUT))

    # Pipelined: all twenty are sent before the first answer is read; one of them is bad.
    sent = [request(number) for number in range(100, 120)]
    sent[7].batch_id = "not a uuid"
    answers = list(ingest.SubmitStream(iter(sent), metadata=of("acme"), timeout=TIMEOUT))
    said["stream"] = [
        {"code": one.error.code, "reason": one.error.reason, "field": one.error.field}
        if one.WhichOneof("result") == "error"
        else receipt(one.receipt)
        for one in answers
    ]
    said["in_order"] = [one.batch_id for one in answers] == [one.batch_id if one.batch_id != "not a uuid" else "" for one in sent]

    said["bad_request"] = refusal(lambda: ingest.Submit(request(3, "no"), metadata=of("acme"), timeout=TIMEOUT))
    said["reused"] = refusal(lambda: ingest.Submit(request(4, first.batch_id), metadata=of("acme"), timeout=TIMEOUT))
    said["no_customer"] = refusal(lambda: ingest.Submit(request(5), timeout=TIMEOUT))
    huge = request(6)
    huge.instance = "x" * (5 << 20)
    said["too_large"] = refusal(lambda: ingest.Submit(huge, metadata=of("acme"), timeout=TIMEOUT))


def send_compressed(channel, said):
    """gzip, message by message and for a whole channel, and what the collector does not know."""
    ingest = ingest_pb2_grpc.IngestServiceStub(channel)
    batch = request(200)
    batch.events.extend(event(200) for _ in range(99))
    small = dict(metadata=of("acme"), timeout=TIMEOUT, compression=grpc.Compression.Gzip)
    said["compressed"] = receipt(ingest.Submit(batch, **small))
    said["compressed_again"] = receipt(ingest.Submit(batch, metadata=of("acme"), timeout=TIMEOUT))
    with grpc.insecure_channel(ADDRESS, compression=grpc.Compression.Gzip) as other:
        stub = ingest_pb2_grpc.IngestServiceStub(other)
        batches = [request(number) for number in range(201, 206)]
        for one in batches:
            one.events.extend(event(1) for _ in range(99))
        answers = stub.SubmitStream(iter(batches), metadata=of("acme"), timeout=TIMEOUT)
        said["compressed_stream"] = [receipt(one.receipt)["accepted_events"] for one in answers]
    deflate = dict(small, compression=grpc.Compression.Deflate)
    said["deflate"] = refusal(lambda: ingest.Submit(batch, **deflate))


def drain(channel, said):
    stub = drain_pb2_grpc.DrainServiceStub(channel)
    pulled = stub.Pull(drain_pb2.PullRequest(subscription="jobs", max_batches=3), timeout=TIMEOUT).batches
    first = pulled[0].batch
    said["pulled"] = {
        "commits": [one.commit_number for one in pulled],
        "customer": token_text(first.customer_token_prefix, first.customer.token_value),
        "instance": token_text(first.instance_token_prefix, first.instance.token_value),
        "level": first.level,
        "event": [first.event_names[one.name] for one in first.events],
        "fields": rendered(first)[0],
        "treatments": {one.path: one.treatment for one in first.fields},
    }
    back = drain_pb2.ModifyAckDeadlineRequest(subscription="jobs", ack_ids=[pulled[2].ack_id])
    back.ack_deadline.FromSeconds(0)
    said["given_back"] = stub.ModifyAckDeadline(back, timeout=TIMEOUT).modified
    ids = [one.ack_id for one in pulled[:2]] + ["made-up"]
    acked = stub.Acknowledge(drain_pb2.AcknowledgeRequest(subscription="jobs", ack_ids=ids), timeout=TIMEOUT)
    reason = drain_pb2.AckFailure.Reason.Name
    said["acknowledged"] = {"done": acked.acknowledged, "failed": [reason(one.reason) for one in acked.failures]}

    # The rest over a stream: what was read is acknowledged with the next request.
    requests = queue.SimpleQueue()
    requests.put(drain_pb2.StreamingPullRequest(subscription="jobs", max_outstanding_batches=5))
    stream = stub.StreamingPull(iter(requests.get, None), timeout=TIMEOUT)
    streamed = []
    for response in stream:
        streamed += uptimes(response.batches)
        requests.put(drain_pb2.StreamingPullRequest(ack_ids=[one.ack_id for one in response.batches]))
        if len(streamed) == 18:
            break
    requests.put(None)
    for response in stream:
        pass
    said["streamed"] = sorted(streamed)
    standing = stub.GetSubscription(drain_pb2.GetSubscriptionRequest(name="jobs"), timeout=TIMEOUT)
    said["standing"] = [standing.acknowledged_batches, standing.waiting_batches]
    said["absent"] = refusal(lambda: stub.Pull(drain_pb2.PullRequest(subscription="none"), timeout=TIMEOUT))


def everything():
    """A first day with the collector: ask what it is, take part, send, drain."""
    said = {}
    with grpc.insecure_channel(ADDRESS) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="usaged.ingest.v1.IngestService"), timeout=TIMEOUT
        )
        said["health"] = health_pb2.HealthCheckResponse.ServingStatus.Name(health.status)
        reflection = ProtoReflectionDescriptorDatabase(channel)
        said["services"] = sorted(reflection.get_services())
        pool = DescriptorPool(reflection)
        submit = pool.FindServiceByName("usaged.ingest.v1.IngestService").FindMethodByName("Submit")
        said["reflected"] = [one.name for one in submit.input_type.fields]

        participation = admin_pb2.Participation(customer="acme")
        participation.levels.add(program="ceip", level="standard")
        change = admin_pb2.SetParticipationRequest(participation=participation, changed_by="ann", change_reason="test")
        said["revision"] = admin_pb2_grpc.AdminServiceStub(channel).SetParticipation(change, timeout=TIMEOUT).revision
        made = drain_pb2_grpc.DrainServiceStub(channel).CreateSubscription(
            drain_pb2.CreateSubscriptionRequest(
                subscription=drain_pb2.Subscription(name="jobs", purpose=drain_pb2.IMPROVE, recipient="tests")
            ),
            timeout=TIMEOUT,
        )
        said["subscription"] = [made.name, made.ack_deadline.seconds, made.max_delivery_attempts]
        send(channel, said)
        drain(channel, said)
        send_compressed(channel, said)
    json.dump(said, sys.stdout)


def refused_for_want_of_room():
    """What a collector without room says to a sender."""
    with grpc.insecure_channel(ADDRESS) as channel:
        ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        said = refusal(lambda: ingest.Submit(request(1), metadata=of("acme"), timeout=TIMEOUT))
        answers = list(ingest.SubmitStream(iter([request(2)]), metadata=of("acme"), timeout=TIMEOUT))
        said["stream"] = [[one.error.code, one.error.retry_delay_ms] for one in answers]
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    {"everything": everything, "refusal": refused_for_want_of_room}[TASK]()
