"""Stacks of the built template in a stand-in for AWS: deployed, filled, watched and removed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.deploy.deployable import known_types, leave_out_unknown, write_out
from tests.support.building import ARCHITECTURE, ROOT, load_template, tool, write_template
from tests.support.ministack import ACCOUNT, REGION, Ministack, Postponed

KEY = "AWSLogs/{account}/CloudTrail/{region}/2026/11/03/{account}_CloudTrail_{region}_20261103T0815Z_{name}.json.gz"
ENDED = ("_COMPLETE", "_FAILED")


class DeployError(Exception):
    """A stack that could not be made or changed; the text has the reasons as its events give them."""


def records(event_name: str, count: int, first: int = 0) -> bytes:
    """An object as CloudTrail delivers it, with `count` events of one name, whose ids are numbered from `first`."""
    events = [
        {
            "eventVersion": "1.11",
            "userIdentity": {"type": "AWSService", "invokedBy": "test.amazonaws.com"},
            "eventTime": "2026-11-03T08:14:22Z",
            "eventSource": "test.amazonaws.com",
            "eventName": event_name,
            "awsRegion": REGION,
            "eventID": f"{event_name}-{number}",
            "eventType": "AwsApiCall",
            "recipientAccountId": ACCOUNT,
        }
        for number in range(first, first + count)
    ]
    return gzip.compress(json.dumps({"Records": events}).encode())


@dataclass
class Stack:
    """A deployed stack, and the engine that it writes to."""

    aws: Ministack
    name: str
    engine: str
    parameters: dict[str, str]
    region: str = REGION
    outputs: dict[str, str] = field(default_factory=dict)

    def client(self, service: Any) -> Any:
        """A boto3 client in the stack's region."""
        return self.aws.client(service, self.region)

    @property
    def prefix(self) -> str:
        """What its indices begin with."""
        return self.parameters.get("IndexPrefix", "")

    def physical(self, logical: str) -> str:
        """The physical id of a resource."""
        answer = self.client("cloudformation").describe_stack_resource(StackName=self.name, LogicalResourceId=logical)
        identity: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return identity

    def resources(self) -> dict[str, str]:
        """Logical ids of all resources with their physical ids."""
        found = self.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        return {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in found}

    def statements(self, role: str) -> list[dict[str, Any]]:
        """The statements of a deployed role, whose logical id this is."""
        document = self._policy(role)[1]
        statements: list[dict[str, Any]] = document["Statement"]
        return statements

    def without(self, role: str, sid: str) -> Callable[[], None]:
        """Take a statement out of a deployed role; gives what puts it back."""
        policy, document = self._policy(role)
        kept = [statement for statement in document["Statement"] if statement["Sid"] != sid]
        assert len(kept) == len(document["Statement"]) - 1, f"{role} has no statement {sid}"

        def put(statements: list[dict[str, Any]]) -> None:
            text = json.dumps({**document, "Statement": statements})
            self.client("iam").put_role_policy(RoleName=self.physical(role), PolicyName=policy, PolicyDocument=text)

        put(kept)
        return lambda: put(document["Statement"])

    def _policy(self, role: str) -> tuple[str, dict[str, Any]]:
        iam, name = self.client("iam"), self.physical(role)
        (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        return policy, iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]

    def may(self, role: str, action: str, resource: str) -> bool:
        """Whether a deployed role may do something, as IAM evaluates its policies."""
        answer = self.client("iam").simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/{self.physical(role)}", ActionNames=[action], ResourceArns=[resource]
        )
        decision: str = answer["EvaluationResults"][0]["EvalDecision"]
        return decision == "allowed"

    def log(self, function: str = "cloudtrail") -> str:
        """What a function wrote."""
        group = f"/aws/lambda/{self.name}-{function}"
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def quarantined(self) -> list[str]:
        """The keys of what is in quarantine."""
        bucket, prefix = self.outputs["QuarantineLocation"].removeprefix("s3://").split("/", 1)
        return [one["Key"] for one in self.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]

    def postponed(self, output: str = "CloudTrailQueueUrl") -> list[Postponed]:
        """The messages that the function sent back to its queue so far."""
        return self.aws.handles.of(self.outputs[output].rsplit("/", 1)[1])

    def received(self, output: str = "CloudTrailQueueUrl") -> list[int]:
        """How often each message was received that is in a queue; ministack tells without receiving it once more."""
        url = f"{self.aws.url}/_ministack/sqs/messages?QueueUrl={quote(self.outputs[output], safe='')}"
        with urllib.request.urlopen(url, context=self.aws.certificate.trusting(), timeout=60) as answer:
            accounts = json.load(answer)["messages"]
        queues = [messages for regions in accounts.values() for queues in regions.values() for messages in queues.values()]
        return [message["ReceiveCount"] for messages in queues for message in messages]

    def release(self, output: str = "CloudTrailQueueUrl") -> int:
        """Have the messages that were sent back to a queue come again at once; gives how many."""
        return self.aws.handles.release(self.outputs[output].rsplit("/", 1)[1])

    def documents(self, event_name: str) -> list[dict[str, Any]]:
        """The documents of one kind of event, at most 10,000."""
        url = f"{self.engine}/{self.prefix}cloudtrail-2*/_search?size=10000&q=eventName:{event_name}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                hits: list[dict[str, Any]] = json.load(answer)["hits"]["hits"]
                return hits
        except urllib.error.HTTPError as error:
            if error.code != 404:  # no index yet
                raise
            return []

    def index_template(self) -> dict[str, Any]:
        """What DomainSetup put in place. Raises HTTPError where it did not."""
        with urllib.request.urlopen(f"{self.engine}/_index_template/{self.prefix}cloudtrail", timeout=60) as answer:
            template: dict[str, Any] = json.load(answer)["index_templates"][0]["index_template"]
            return template

    def put(self, bucket: str, name: str, body: bytes, prefix: str = "", account: str = "test") -> str:
        """Put an object as CloudTrail names it; gives its key. `account` is that of the bucket, where it is not ours."""
        key = prefix + KEY.format(account=ACCOUNT, region=self.region, name=name)
        self.aws.client("s3", self.region, account).put_object(Bucket=bucket, Key=key, Body=body)
        return key

    def waiting(self, output: str = "CloudTrailQueueUrl") -> int:
        """Messages in a queue, those that are being worked on included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        answer = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(value) for value in answer["Attributes"].values())

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Return when the condition holds; a limit far above any machine's speed ends a test that would never end."""
        wait_for(condition, lambda: f"{self.name}: {what}: it did not come to that\n{self.aws.log()}")

    def quiet(self) -> None:
        """Wait until each queue is empty; nothing may have gone to a dead letter queue."""
        for kind in ("Config", "CloudTrail"):  # in this order: the one function hands on to the other's queue
            if f"{kind}QueueUrl" in self.outputs:
                self.wait_for(lambda kind=kind: self.waiting(f"{kind}QueueUrl") == 0, "an empty queue")  # type: ignore[misc]
                assert self.waiting(f"{kind}DeadLetterQueueUrl") == 0, self.aws.log()


LIMIT = 300.0
"""Seconds after which a test fails that would never end."""


def wait_for(condition: Callable[[], object], what: Callable[[], str]) -> None:
    """Return when the condition holds. Raises AssertionError with `what()` when the limit is over."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


Variation = Callable[[dict[str, Any]], None]
"""Changes a template before it is deployed."""


class Deployer:
    """Deploys one build of the template as often as one wants: packaged once for each region, then change sets."""

    def __init__(self, aws: Ministack, build: Path, folder: Path) -> None:
        self.aws = aws
        self.build = build
        self.folder = folder
        self._packaged: dict[tuple[Path, str], Path] = {}

    def create(
        self, name: str, parameters: Mapping[str, str], engine: str, *, region: str = REGION, vary: Variation | None = None
    ) -> Stack:
        """A new stack. Raises DeployError when it was rolled back."""
        stack = Stack(self.aws, name, engine, {"Architecture": ARCHITECTURE, **parameters}, region)
        self._change(stack, "CREATE", self.build, vary)
        return stack

    def create_plain(self, name: str, template: Path, parameters: Mapping[str, str], *, vary: Variation | None = None) -> Stack:
        """A stack of a template without code. Raises DeployError when it was rolled back."""
        stack = Stack(self.aws, name, "", dict(parameters))
        self._change(stack, "CREATE", template, vary)
        return stack

    def update(
        self,
        stack: Stack,
        parameters: Mapping[str, str] | None = None,
        *,
        build: Path | None = None,
        vary: Variation | None = None,
    ) -> None:
        """Change a stack's parameters, its code or its template. Raises DeployError when it was rolled back."""
        stack.parameters |= parameters or {}
        self._change(stack, "UPDATE", build or self.build, vary)

    def sam_deploy(self, stack: Stack) -> None:
        """Make the stack with `sam deploy` and the project's own samconfig.toml. Raises DeployError."""
        template = self._template(self.build, stack)
        path = self.folder / f"{stack.name}.yaml"
        write_template(template, path)
        result = self.sam(
            *("deploy", "--config-file", str(ROOT / "samconfig.toml"), "--template-file", str(path)),
            *("--stack-name", stack.name, "--region", stack.region, "--parameter-overrides"),
            *(f"{name}={value}" for name, value in stack.parameters.items()),
        )
        if result.returncode:
            raise DeployError(result.stdout + result.stderr + self.events(stack))
        self._describe(stack)

    def sam(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`sam` as a person runs it."""
        home = self.folder / "sam"
        home.mkdir(exist_ok=True)
        return subprocess.run(
            [str(tool("sam", "sam")), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(home), "SAM_CLI_TELEMETRY": "0", **self.aws.environment},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )

    def delete(self, stack: Stack) -> None:
        """Delete a stack and wait until it is gone. Raises DeployError when it cannot be deleted."""
        client = stack.client("cloudformation")
        identity = client.describe_stacks(StackName=stack.name)["Stacks"][0]["StackId"]
        client.delete_stack(StackName=stack.name)
        status = self._ended(stack, identity)
        if status != "DELETE_COMPLETE":
            raise DeployError(f"{stack.name}: {status}\n{self.events(stack)}")

    def events(self, stack: Stack) -> str:
        """What went wrong, from the events of the stack, the first first."""
        client = stack.client("cloudformation")
        try:
            pages = client.get_paginator("describe_stack_events").paginate(StackName=stack.name)
            found = [event for page in pages for event in page["StackEvents"]]
        except client.exceptions.ClientError:
            return "no events"
        return "\n".join(
            f"{event['LogicalResourceId']} {event['ResourceStatus']} {event.get('ResourceStatusReason', '')}"
            for event in reversed(found)
            if "FAILED" in event["ResourceStatus"] or "ROLLBACK" in event["ResourceStatus"]
        )

    def _change(self, stack: Stack, kind: str, build: Path, vary: Variation | None) -> None:
        source = self._package(build, stack.region) if build.is_dir() else build
        client = stack.client("cloudformation")
        change = client.create_change_set(
            StackName=stack.name,
            ChangeSetName=f"change-{time.monotonic_ns()}",
            ChangeSetType=kind,
            TemplateURL=self._upload(stack, self._template(source, stack, vary)),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in stack.parameters.items()],
        )["Id"]
        described: dict[str, Any] = {}

        def ready() -> bool:
            described.update(client.describe_change_set(ChangeSetName=change))
            return described["Status"] in ("CREATE_COMPLETE", "FAILED")

        wait_for(ready, lambda: f"the change set of {stack.name} was never ready")
        if described["Status"] == "FAILED":
            raise DeployError(f"{stack.name}: {described.get('StatusReason')}")
        client.execute_change_set(ChangeSetName=change)
        status = self._ended(stack, described["StackId"])
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise DeployError(f"{stack.name}: {status}\n{self.events(stack)}")
        self._describe(stack)

    def _ended(self, stack: Stack, identity: str) -> str:
        client = stack.client("cloudformation")

        def status() -> str:
            found: str = client.describe_stacks(StackName=identity)["Stacks"][0]["StackStatus"]
            return found

        def ended() -> bool:
            now = status()
            return now.endswith(ENDED) and now != "REVIEW_IN_PROGRESS" and "CLEANUP" not in now

        wait_for(ended, lambda: f"{stack.name}: it never ended\n{self.aws.log()}")
        return status()

    def _describe(self, stack: Stack) -> None:
        described = stack.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"][0]
        stack.outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def _template(self, source: Path, stack: Stack, vary: Variation | None = None) -> dict[str, Any]:
        template = load_template(source / "template.yaml" if source.is_dir() else source)
        for resource in template["Resources"].values():
            for location in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
                if source.is_dir():  # built, and not yet uploaded
                    resource["Properties"][location] = str(source / resource["Properties"][location])
        if vary:
            vary(template)
        leave_out_unknown(template, known_types())
        write_out(template, stack.parameters, stack.region, ACCOUNT)
        return template

    def _package(self, build: Path, region: str) -> Path:
        """The built template, with its code uploaded to a bucket of the region."""
        if (build, region) not in self._packaged:
            packaged = self.folder / f"packaged-{len(self._packaged)}.yaml"
            result = self.sam(
                *("package", "--s3-bucket", self._bucket(region), "--region", region),
                *("--template-file", str(build / "template.yaml"), "--output-template-file", str(packaged)),
            )
            assert result.returncode == 0, result.stdout + result.stderr + self.aws.log()
            self._packaged[build, region] = packaged
        return self._packaged[build, region]

    def _upload(self, stack: Stack, template: dict[str, Any]) -> str:
        path, key = self.folder / f"{stack.name}.yaml", f"templates/{stack.name}-{time.monotonic_ns()}.yaml"
        write_template(template, path)
        bucket = self._bucket(stack.region)
        stack.client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        return f"{self.aws.url}/{bucket}/{key}"

    def _bucket(self, region: str) -> str:
        name = f"artefacts-{region}"
        client = self.aws.client("s3", region)
        if name not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
        return name


def another_build(build: Path, folder: Path) -> Path:
    """A copy of a build, to change something in."""
    return Path(shutil.copytree(build, folder))
