"""An example of a well-behaved sender: collects only what is wanted, and stops when it is told to.

What it does, and what every sender should do:

- It asks for the collection plan and goes by it for its time to live. What the plan does not want is not
  collected: a value can be a function, which is then not even called. What is never stored it keeps out of text, too:
  in the place of a secret that it was given it puts the marker of the plan before anything is sent or written to disk.
- It tells the version of its plan with every batch. When a receipt says that the plan has changed, it asks again
  before it collects or sends anything else, and takes what is not wanted any more out of what waits.
- When it is told DISABLED or PAUSED it drops everything, stops, and asks again when the time to live is over.
- It sends a batch again under the same id until it has a receipt, waits as long as it is told to, and a random
  while more each time. The id makes that safe: the batch is stored once. Before that it asks for the plan again.
- What cannot be sent yet waits on disk, in a directory of bounded size. When that is full the oldest goes, and the
  sender says so.

To run it, make the stubs and give it events, one JSON object a line; an empty line sends what there is:

    pip install grpcio grpcio-tools googleapis-common-protos
    python -m grpc_tools.protoc -I proto --python_out=stubs --grpc_python_out=stubs usaged/ingest/v1/ingest.proto
    echo '{"name": "vm.inventory", "fields": {"host": "esx-1.example.com", "vcpus": 8}}' |
        python deploy/examples/python/sender.py --customer acme --product vcenter --stubs stubs --spool /tmp/spool

It says what it does on standard output, one JSON object a line, and never repeats a value that it was given.
"""

import argparse
import json
import os
import random
import re
import sys
import time
import uuid

BATCH_EVENTS = 500
BATCH_BYTES = 1 << 20
BATCH_WORDS = 4096  # values to keep out of the text of a batch
TIMEOUT = 30  # seconds for one call
BACKOFF = (0.2, 60.0)  # seconds: the first wait, and the longest


class Plan:
    """What is wanted, as the collector said it, and until when that is good."""

    def __init__(self, answer, now):
        # Ten per cent earlier or later, so that many senders do not ask at the same moment.
        ttl = answer.time_to_live.ToMilliseconds() / 1000 * random.uniform(0.9, 1.1)
        self.expires = now + ttl
        self.version = answer.plan_version
        self.state = pb.CollectionPlan.State.Name(answer.state)
        self.collects = answer.state in (pb.CollectionPlan.DELIVER, pb.CollectionPlan.AUDIT)
        self.remedy = answer.remedy
        self.instance = any(program.instance_form for program in answer.programs)
        # For each event that is wanted: the paths that are stored, and those that are text which is redacted.
        # For every event: those that only help to redact the text of its program, and those of what is never stored, each
        # with the marker that stands for it in that text.
        self.stored, self.context, self.text, self.program, self.markers = {}, {}, {}, {}, {}
        for event in answer.events:
            paths = lambda test: frozenset(field.path for field in event.fields if test(field))
            self.program[event.name] = event.program
            self.context[event.name] = paths(lambda field: field.wish == pb.FieldPlan.CONTEXT)
            self.markers[event.name] = {field.path: field.marker for field in event.fields if field.marker}
            if event.wanted:
                self.stored[event.name] = paths(lambda field: field.wish == pb.FieldPlan.WANTED)
                self.text[event.name] = paths(lambda field: field.treatment == "redact")

    def of_interest(self, event):
        """The paths of an event that may have to be sent, or None if nothing of the event is."""
        context = self.context.get(event)
        return self.stored.get(event, frozenset()) | context if event in self.stored or context else None


def inside(path, paths):
    """The paths that are `path` itself or in it."""
    return [one for one in paths if one == path or (one.startswith(path) and one[len(path)] in ".[{")]


def collect(value, path, paths):
    """The value at `path` as the API takes it: of a record only what is wanted. A function is called for its value."""
    if callable(value):
        value = value()
    if isinstance(value, dict):
        record = pb.Record()
        is_map = any(one.startswith(path + "{") for one in paths)
        for name, inner in value.items():
            at = path + "{}" if is_map else f"{path}.{name}"
            if is_map or inside(at, paths):
                record.fields.add(name=name, value=collect(inner, at, paths))
        return pb.Value(record_value=record)
    if isinstance(value, (list, tuple)):
        return pb.Value(list_value=pb.List(values=[collect(one, path + "[]", paths) for one in value]))
    if isinstance(value, bool):
        return pb.Value(bool_value=value)
    if isinstance(value, int):
        return pb.Value(int_value=value)
    if isinstance(value, float):
        return pb.Value(double_value=value)
    if isinstance(value, bytes):
        return pb.Value(bytes_value=value)
    return pb.Value(string_value=str(value))


def scalars(value, path, paths):
    """The values that are at `paths` in what is at `path`, each with its path. A function is not called: what nobody
    collects needs no marker."""
    if isinstance(value, dict):
        is_map = any(one.startswith(path + "{") for one in paths)
        for name, inner in value.items():
            if is_map:
                yield from scalars(name, path + "{key}", paths)
            yield from scalars(inner, path + "{}" if is_map else f"{path}.{name}", paths)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from scalars(one, path + "[]", paths)
    elif path in paths and not callable(value):
        yield path, value


def word(value):
    """A pattern for a value as text has it, or None if text is full of it."""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.hex()
    else:
        is_whole = isinstance(value, float) and value.is_integer()
        text = str(int(value) if is_whole else value)
    text = re.sub(r"^[\W_]+|[\W_]+$", "", text)
    least = 5 if not isinstance(value, (str, bytes)) else 2 if re.search("[A-Za-z]", text) else 4
    if isinstance(value, bool) or len(text.encode()) < least:
        return None
    # Letters and digits of ASCII go on with their like; what else stands beside a word ends it.
    before, after = ("(?<![0-9A-Za-z])" if text[0].isascii() else "", "(?![0-9A-Za-z])" if text[-1].isascii() else "")
    return before + r"\s+".join(re.escape(part) for part in text.split()) + after


def without(value, path, paths, words):
    """A copy of a collected value in which the texts at `paths` have markers in the place of words."""
    kind = value.WhichOneof("kind")
    if kind == "record_value":
        is_map = any(one.startswith(path + "{") for one in paths)
        record = pb.Record()
        for field in value.record_value.fields:
            at = path + "{}" if is_map else f"{path}.{field.name}"
            record.fields.add(name=field.name, value=without(field.value, at, paths, words))
        return pb.Value(record_value=record)
    if kind == "list_value":
        return pb.Value(
            list_value=pb.List(values=[without(one, path + "[]", paths, words) for one in value.list_value.values])
        )
    if kind != "string_value" or path not in paths:
        return value
    # One pattern for all, of which the longest come first.
    longest = sorted(words, key=len, reverse=True)
    pattern = "|".join(f"({one})" for one in longest)
    marker = lambda found: words[longest[found.lastindex - 1]]
    return pb.Value(string_value=re.sub(pattern, marker, value.string_value, flags=re.IGNORECASE))


def strip(value, path, paths):
    """A copy of a collected value without what is not in `paths`."""
    kind = value.WhichOneof("kind")
    if kind == "record_value":
        record = pb.Record()
        is_map = any(one.startswith(path + "{") for one in paths)
        for field in value.record_value.fields:
            at = path + "{}" if is_map else f"{path}.{field.name}"
            if is_map or inside(at, paths):
                record.fields.add(name=field.name, value=strip(field.value, at, paths))
        return pb.Value(record_value=record)
    if kind == "list_value":
        return pb.Value(list_value=pb.List(values=[strip(one, path + "[]", paths) for one in value.list_value.values]))
    return value


def strip_events(events, plan):
    """What the plan wants of events, and whether there is text in it that is redacted."""
    is_text = lambda event: any(inside(field.name, plan.text[event.name]) for field in event.fields)
    # The programs that have text here which is redacted. Only beside that is context of use.
    redacted = {plan.program[event.name] for event in events if event.name in plan.stored and is_text(event)}
    stripped = []
    for event in events:
        paths = plan.stored.get(event.name, frozenset())
        if plan.program.get(event.name) in redacted:
            paths |= plan.context[event.name]
        if event.name not in plan.stored and not any(inside(field.name, paths) for field in event.fields):
            continue
        copy = pb.Event(name=event.name, needed_level=event.needed_level)
        if event.HasField("time"):
            copy.time.CopyFrom(event.time)
        for field in event.fields:
            if inside(field.name, paths):
                copy.fields.add(name=field.name, value=strip(field.value, field.name, paths))
        stripped.append(copy)
    return stripped, bool(redacted)


class Spool:
    """Batches that wait, one file each, oldest first, in a directory of bounded size."""

    def __init__(self, directory, most_bytes, say):
        self.directory, self.most_bytes, self.say = directory, most_bytes, say
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def names(self):
        return sorted(name for name in os.listdir(self.directory) if name.endswith(".batch"))

    def put(self, request, name=None):
        """Writes a batch, so that it is there whole or not at all; the oldest give way if there is no room."""
        data = request.SerializeToString()
        name = name or f"{time.time_ns():020d}.batch"
        path = os.path.join(self.directory, name)
        with open(path + ".part", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".part", path)
        sizes = {one: os.path.getsize(os.path.join(self.directory, one)) for one in self.names()}
        dropped = 0
        for oldest in list(sizes):
            if sum(sizes.values()) <= self.most_bytes:
                break
            self.drop(oldest)
            del sizes[oldest]
            dropped += 1
        if dropped:
            self.say(spool_full=dropped, most_bytes=self.most_bytes)

    def get(self, name):
        with open(os.path.join(self.directory, name), "rb") as file:
            return pb.SubmitRequest.FromString(file.read())

    def drop(self, name):
        os.remove(os.path.join(self.directory, name))

    def clear(self):
        names = self.names()
        for name in names:
            self.drop(name)
        return len(names)


def retry_after(error):
    """Seconds until a refused call is to be made again; None if that is of no use."""
    again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)
    if error.code() not in again:
        return None
    for detail in details(error):
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            info = error_details_pb2.RetryInfo()
            detail.Unpack(info)
            return info.retry_delay.ToMilliseconds() / 1000
    return 0.0


def reason(error):
    """The stable reason of a refusal."""
    for detail in details(error):
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            return info.reason
    return error.code().name


def details(error):
    trailers = dict(error.trailing_metadata() or ())
    return status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b"")).details


class Sender:
    """Collects events of one product and sends them."""

    def __init__(self, channel, options, say):
        self.stub = pb_grpc.IngestServiceStub(channel)
        self.metadata = (("usaged-customer", options.customer),)
        self.options, self.say = options, say
        self.spool = Spool(options.spool, options.spool_bytes, say)
        self.plan, self.stale = None, False
        self.pending, self.pending_bytes = [], 0
        # For each program, the values of the pending events that are never stored, as patterns, each with its marker.
        self.words = {}
        self.failures, self.not_before = 0, 0.0

    def wants(self, event, path=None):
        """Whether an event, or a field of it, is worth collecting. Without a plan, nothing is."""
        self.refresh()
        paths = self.plan.of_interest(event) if self.plan and self.plan.collects else None
        return paths is not None and (path is None or bool(inside(path, paths)))

    def record(self, event, fields, at=None, needed_level=""):
        """Takes an event; whether it was wanted. A value can be a function, which is called only if its
        value is wanted."""
        is_wanted = self.wants(event)
        if self.plan and self.plan.collects:
            self.keep_out(event, fields)
            if sum(map(len, self.words.values())) > BATCH_WORDS:
                self.flush()
                # Those of this event, which is of the next batch, went with the others.
                self.keep_out(event, fields)
        if not is_wanted:
            return False
        paths = self.plan.of_interest(event)
        message = pb.Event(name=event, needed_level=needed_level)
        if at is None:
            message.time.GetCurrentTime()
        else:
            message.time.FromJsonString(at)
        for name, value in fields.items():
            if inside(name, paths):
                message.fields.add(name=name, value=collect(value, name, paths))
        self.pending.append(message)
        self.pending_bytes += message.ByteSize()
        if len(self.pending) >= BATCH_EVENTS or self.pending_bytes >= BATCH_BYTES:
            self.flush()
        return True

    def keep_out(self, event, fields):
        """Notes what is to be kept out of text."""
        markers = self.plan.markers.get(event, {})
        for name, value in fields.items():
            for path, one in scalars(value, name, markers) if markers else ():
                pattern = word(one)
                if pattern:
                    self.words.setdefault(self.plan.program[event], {}).setdefault(pattern, markers[path])

    def without_words(self, event):
        """An event with markers in the place of what is to be kept out of its text."""
        paths, words = self.plan.text.get(event.name, ()), self.words.get(self.plan.program.get(event.name))
        if paths and words:
            for field in event.fields:
                field.value.CopyFrom(without(field.value, field.name, paths, words))
        return event

    def flush(self):
        """Puts what was collected into the spool, and sends what is in the spool, as far as that is possible now."""
        self.refresh()
        if self.plan and self.plan.collects:
            events, has_text = strip_events([self.without_words(event) for event in self.pending], self.plan)
            self.pending, self.pending_bytes, self.words = [], 0, {}
            if events:
                self.spool.put(self.request(str(uuid.uuid4()), events, has_text))
        for name in self.spool.names():
            # What the receipt before has changed comes first.
            self.refresh()
            if not (self.plan and self.plan.collects) or time.monotonic() < self.not_before:
                return
            if not os.path.exists(os.path.join(self.spool.directory, name)):
                continue
            if not self.send(name):
                return

    def request(self, batch_id, events, has_text):
        request = pb.SubmitRequest(
            batch_id=batch_id,
            product=self.options.product,
            # Like other context it is found in text that is redacted.
            instance=self.options.instance if self.plan.instance or has_text else "",
            region=self.options.region,
            events=events,
            plan_version=self.plan.version,
        )
        request.level_caps.extend(self.caps())
        return request

    def caps(self):
        pairs = (cap.split("=", 1) for cap in self.options.cap)
        return [pb.ProgramLevel(program=program, level=level) for program, level in pairs]

    def refresh(self):
        """Asks for the plan if there is none, or it is not good any more. While the collector cannot be asked the
        old one is gone by: nothing leaves before it was asked again."""
        now = time.monotonic()
        if now < self.not_before or (self.plan and not self.stale and now < self.plan.expires):
            return
        ask = pb.GetCollectionPlanRequest(
            product=self.options.product, region=self.options.region, level_caps=self.caps()
        )
        try:
            answer = self.stub.GetCollectionPlan(ask, metadata=self.metadata, timeout=TIMEOUT)
        except grpc.RpcError as error:
            self.failed(error)
            return
        before, self.plan, self.stale, self.failures = self.plan, Plan(answer, now), False, 0
        if before is None or before.version != self.plan.version:
            self.say(plan=self.plan.state, version=self.plan.version, events=len(self.plan.stored))
            self.obey()

    def obey(self):
        """Makes what waits fit a new plan."""
        if not self.plan.collects:
            self.stop()
            return
        for name in self.spool.names():
            waiting = self.spool.get(name)
            events, has_text = strip_events(waiting.events, self.plan)
            if not events:
                self.spool.drop(name)
            else:
                # The same id: if an earlier attempt was stored after all, the collector says so, and nothing is
                # counted twice.
                self.spool.put(self.request(waiting.batch_id, events, has_text), name)

    def stop(self):
        self.pending, self.pending_bytes, self.words = [], 0, {}
        dropped = self.spool.clear()
        self.say(stopped=self.plan.state, dropped_batches=dropped, ask_again_in=round(self.plan.expires - time.monotonic()))

    def send(self, name):
        """Sends one batch; whether the next one can be tried."""
        request = self.spool.get(name)
        try:
            receipt = self.stub.Submit(request, metadata=self.metadata, timeout=TIMEOUT)
        except grpc.RpcError as error:
            if reason(error) == "BATCH_ID_REUSED":
                # Stored by an earlier attempt, before the plan changed.
                self.spool.drop(name)
                self.say(receipt="DUPLICATE", events=len(request.events))
                return True
            return self.failed(error, name)
        self.failures = 0
        self.spool.drop(name)
        state = pb.SubmitResponse.State.Name(receipt.state)
        sent = sum(len(event.fields) for event in request.events)
        self.say(receipt=state, events=receipt.accepted_events, fields=receipt.accepted_fields, sent_fields=sent)
        for place in receipt.withheld:
            self.say(withheld=place.place, remedy=place.remedy)
        if receipt.plan_changed or receipt.state == pb.SubmitResponse.DISABLED:
            self.stale = True
        return True

    def failed(self, error, name=None):
        """Decides what a refused call means; whether the next batch can be tried."""
        # What was decided before may be long ago when the next call succeeds.
        self.stale = True
        told = retry_after(error)
        if told is None:
            self.say(refused=reason(error), message=error.details() if name else "the plan cannot be had")
            if name is None:
                self.not_before = time.monotonic() + BACKOFF[1]
                return False
            self.spool.drop(name)
            return True
        most = min(BACKOFF[0] * 2**self.failures, BACKOFF[1])
        wait = told + random.uniform(0, most)
        self.failures += 1
        self.not_before = time.monotonic() + wait
        self.say(retry=reason(error), seconds=round(wait, 3))
        return False


def main():
    parser = argparse.ArgumentParser(description="Sends events, one JSON object a line on standard input.")
    parser.add_argument("--server", default="127.0.0.1:7171", help="the collector")
    parser.add_argument("--customer", required=True)
    parser.add_argument("--product", required=True)
    parser.add_argument("--instance", default="example-instance", help="names this installation")
    parser.add_argument("--region", default="", help="whose overlay applies, such as eea")
    parser.add_argument("--cap", action="append", default=[], metavar="PROGRAM=LEVEL", help="the most to take part in")
    parser.add_argument("--gzip", action="store_true", help="compress what is sent")
    parser.add_argument("--stubs", default="stubs", help="where the stubs of proto/ are")
    parser.add_argument("--spool", required=True, help="the directory of what waits")
    parser.add_argument("--spool-bytes", type=int, default=64 << 20, help="the most that may wait")
    options = parser.parse_args()
    sys.path.insert(0, options.stubs)

    global grpc, pb, pb_grpc, error_details_pb2, status_pb2
    import grpc
    from google.rpc import error_details_pb2, status_pb2
    from usaged.ingest.v1 import ingest_pb2 as pb, ingest_pb2_grpc as pb_grpc

    def say(**what):
        print(json.dumps(what), flush=True)

    compression = grpc.Compression.Gzip if options.gzip else grpc.Compression.NoCompression
    with grpc.insecure_channel(options.server, compression=compression) as channel:
        sender = Sender(channel, options, say)
        skipped = 0
        for line in sys.stdin:
            if not line.strip():
                sender.flush()
                say(flushed=True, not_wanted=skipped)
                skipped = 0
                continue
            event = json.loads(line)
            skipped += not sender.record(event["name"], event.get("fields", {}), event.get("time"))
        sender.flush()
        say(flushed=True, not_wanted=skipped, waiting=len(sender.spool.names()))


if __name__ == "__main__":
    main()
