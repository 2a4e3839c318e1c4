"""How an event names resources: what AWS lists in `resources`, and what can be told from the request and the response.

A name is derived only from a key whose meaning is known in its service, from an id whose form tells its type, and from an ARN.
Types are those of AWS Config and CloudFormation; where none is known the type is empty.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_Resource.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_MOST = 200
_DEEPEST = 24


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that an event names: its name, id or ARN, its type, and where it stands in the record.

    `derived` ones are not in the record's own list of resources.
    """

    name: str
    type: str
    where: str
    derived: bool


_EC2 = {
    "instanceId": "Instance",
    "vpcId": "VPC",
    "subnetId": "Subnet",
    "volumeId": "Volume",
    "snapshotId": "Snapshot",
    "imageId": "Image",
    "networkInterfaceId": "NetworkInterface",
    "routeTableId": "RouteTable",
    "internetGatewayId": "InternetGateway",
    "natGatewayId": "NatGateway",
    "networkAclId": "NetworkAcl",
    "groupId": "SecurityGroup",
    "groupName": "SecurityGroup",
    "allocationId": "EIP",
    "keyName": "KeyPair",
    "launchTemplateId": "LaunchTemplate",
    "launchTemplateName": "LaunchTemplate",
    "vpcEndpointId": "VPCEndpoint",
    "vpcPeeringConnectionId": "VPCPeeringConnection",
    "transitGatewayId": "TransitGateway",
    "flowLogId": "FlowLog",
}
_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "ec2": {key: f"AWS::EC2::{kind}" for key, kind in _EC2.items()},
    "iam": {
        "userName": "AWS::IAM::User",
        "roleName": "AWS::IAM::Role",
        "groupName": "AWS::IAM::Group",
        "policyName": "AWS::IAM::Policy",
        "policyArn": "AWS::IAM::Policy",
        "instanceProfileName": "AWS::IAM::InstanceProfile",
        "accessKeyId": "AWS::IAM::AccessKey",
    },
    "sts": {"roleArn": "AWS::IAM::Role"},
    "s3": {"bucketName": "AWS::S3::Bucket"},
    "lambda": {"functionName": "AWS::Lambda::Function", "layerName": "AWS::Lambda::LayerVersion"},
    "rds": {
        "dBInstanceIdentifier": "AWS::RDS::DBInstance",
        "dBClusterIdentifier": "AWS::RDS::DBCluster",
        "dBSnapshotIdentifier": "AWS::RDS::DBSnapshot",
        "dBSubnetGroupName": "AWS::RDS::DBSubnetGroup",
        "dBParameterGroupName": "AWS::RDS::DBParameterGroup",
    },
    "kms": {"keyId": "AWS::KMS::Key", "aliasName": "AWS::KMS::Alias", "targetKeyId": "AWS::KMS::Key"},
    "secretsmanager": {"secretId": "AWS::SecretsManager::Secret"},
    "dynamodb": {"tableName": "AWS::DynamoDB::Table"},
    "sqs": {"queueUrl": "AWS::SQS::Queue", "queueName": "AWS::SQS::Queue"},
    "sns": {"topicArn": "AWS::SNS::Topic"},
    "logs": {"logGroupName": "AWS::Logs::LogGroup"},
    "cloudformation": {"stackName": "AWS::CloudFormation::Stack", "stackId": "AWS::CloudFormation::Stack"},
    "cloudtrail": {"trailName": "AWS::CloudTrail::Trail", "trailARN": "AWS::CloudTrail::Trail"},
    "autoscaling": {
        "autoScalingGroupName": "AWS::AutoScaling::AutoScalingGroup",
        "launchConfigurationName": "AWS::AutoScaling::LaunchConfiguration",
    },
    "elasticloadbalancing": {
        "loadBalancerName": "AWS::ElasticLoadBalancing::LoadBalancer",
        "loadBalancerArn": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "targetGroupArn": "AWS::ElasticLoadBalancingV2::TargetGroup",
    },
    "elasticfilesystem": {"fileSystemId": "AWS::EFS::FileSystem"},
    "ecr": {"repositoryName": "AWS::ECR::Repository"},
    "apigateway": {"restApiId": "AWS::ApiGateway::RestApi"},
    "config": {"configurationRecorderName": "AWS::Config::ConfigurationRecorder", "configRuleName": "AWS::Config::ConfigRule"},
    "guardduty": {"detectorId": "AWS::GuardDuty::Detector"},
}
"""Keys of requests and responses whose values name a resource of one type, by service."""

_NAMED_ITSELF: Final[Mapping[tuple[str, str], str]] = {
    ("ssm", "Parameter"): "AWS::SSM::Parameter",
    ("cloudtrail", "Trail"): "AWS::CloudTrail::Trail",
    ("cloudtrail", "Logging"): "AWS::CloudTrail::Trail",
    ("eks", "Cluster"): "AWS::EKS::Cluster",
    ("secretsmanager", "CreateSecret"): "AWS::SecretsManager::Secret",
}
"""Where `name` at the top of a request names what the call is about: the service, and what its event's name has in it."""

_IDS: Final = {
    "i": "Instance",
    "vol": "Volume",
    "snap": "Snapshot",
    "ami": "Image",
    "sg": "SecurityGroup",
    "vpc": "VPC",
    "subnet": "Subnet",
    "eni": "NetworkInterface",
    "rtb": "RouteTable",
    "igw": "InternetGateway",
    "nat": "NatGateway",
    "acl": "NetworkAcl",
    "eipalloc": "EIP",
    "lt": "LaunchTemplate",
    "vpce": "VPCEndpoint",
    "pcx": "VPCPeeringConnection",
    "tgw": "TransitGateway",
}
_ID = re.compile(rf"({'|'.join(_IDS)})-(?:[0-9a-f]{{8}}|[0-9a-f]{{17}})", re.ASCII)
_ARN = re.compile(r"arn:aws[a-z-]*:([a-z0-9-]+):([a-z0-9-]*):(\d{12}|aws)?:([^\s\"*]+)", re.ASCII)
_ARNS: Final[Mapping[tuple[str, str], str]] = {
    ("iam", "user"): "AWS::IAM::User",
    ("iam", "role"): "AWS::IAM::Role",
    ("iam", "group"): "AWS::IAM::Group",
    ("iam", "policy"): "AWS::IAM::Policy",
    ("iam", "instance-profile"): "AWS::IAM::InstanceProfile",
    ("kms", "key"): "AWS::KMS::Key",
    ("kms", "alias"): "AWS::KMS::Alias",
    ("lambda", "function"): "AWS::Lambda::Function",
    ("dynamodb", "table"): "AWS::DynamoDB::Table",
    ("rds", "db"): "AWS::RDS::DBInstance",
    ("rds", "cluster"): "AWS::RDS::DBCluster",
    ("logs", "log-group"): "AWS::Logs::LogGroup",
    ("secretsmanager", "secret"): "AWS::SecretsManager::Secret",
    ("ssm", "parameter"): "AWS::SSM::Parameter",
    ("cloudformation", "stack"): "AWS::CloudFormation::Stack",
    ("cloudtrail", "trail"): "AWS::CloudTrail::Trail",
    ("eks", "cluster"): "AWS::EKS::Cluster",
    ("ecs", "cluster"): "AWS::ECS::Cluster",
    ("ecs", "service"): "AWS::ECS::Service",
    ("ec2", "instance"): "AWS::EC2::Instance",
    ("ec2", "volume"): "AWS::EC2::Volume",
    ("ec2", "vpc"): "AWS::EC2::VPC",
    ("ec2", "subnet"): "AWS::EC2::Subnet",
    ("ec2", "security-group"): "AWS::EC2::SecurityGroup",
    ("elasticloadbalancing", "targetgroup"): "AWS::ElasticLoadBalancingV2::TargetGroup",
}
_WHOLE: Final = {"sqs": "AWS::SQS::Queue", "sns": "AWS::SNS::Topic"}


def named_by(record: Mapping[str, Any]) -> list[Resource]:
    """The resources of a record: those that it lists, then those derived, each name and type once, at most some hundreds."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in (*_listed(record), *_derived(record)):
        key = (resource.name, resource.type)
        if key not in found and len(found) < _MOST:
            found[key] = resource
    return list(found.values())


def type_of_arn(arn: str) -> str:
    """The type of what an ARN names, or an empty text."""
    parts = _ARN.fullmatch(arn)
    if not parts:
        return ""
    service, rest = parts[1], parts[4]
    if service == "s3":
        return "AWS::S3::Object" if "/" in rest else "AWS::S3::Bucket"
    if service in _WHOLE:
        return _WHOLE[service]
    return _ARNS.get((service, re.split("[:/]", rest)[0]), "")


def of_end(text: str) -> tuple[str, list[str]]:
    """The name, and the types it may be of, where a text is the end of an ARN, such as `role/deploy`; an empty text and none
    where it is not."""
    kind, mark, name = text.partition("/")
    types = [named for (_, word), named in _ARNS.items() if word == kind]
    return (name.rpartition("/")[2], types) if mark and types else ("", [])


def keys_of(kind: str) -> tuple[set[str], set[str]]:
    """The keys of requests and responses that name resources of a type, and what its ids begin with."""
    keys = {key for table in _KEYS.values() for key, named in table.items() if named == kind}
    keys |= {"name"} if kind in _NAMED_ITSELF.values() else set()
    ids = {prefix for prefix, name in _IDS.items() if f"AWS::EC2::{name}" == kind}
    return keys, ids


def arns_of(kind: str) -> list[tuple[str, ...]]:
    """Words that stand in each ARN of a type: of a role iam and role."""
    whole = [(service,) for service, named in _WHOLE.items() if named == kind]
    s3 = [("s3",)] if kind in ("AWS::S3::Bucket", "AWS::S3::Object") else []
    return [*whole, *s3, *(words for words, named in _ARNS.items() if named == kind)]


def _listed(record: Mapping[str, Any]) -> Iterator[Resource]:
    listed = record.get("resources")
    for number, entry in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(entry, dict):
            name = entry.get("ARN") or entry.get("ARNPrefix") or entry.get("resourceName")
            if isinstance(name, str) and name:
                kind = entry.get("type") or entry.get("resourceType")
                yield Resource(name, kind if isinstance(kind, str) else type_of_arn(name), f"resources[{number}]", derived=False)


def _derived(record: Mapping[str, Any]) -> Iterator[Resource]:
    source = record.get("eventSource")
    service = source.removesuffix(".amazonaws.com") if isinstance(source, str) else ""
    keys = _KEYS.get(service, {})
    request = record.get("requestParameters")
    event = str(record.get("eventName") or "")
    if isinstance(request, dict) and isinstance(request.get("name"), str):
        for (owner, part), kind in _NAMED_ITSELF.items():
            if owner == service and part in event:
                yield Resource(request["name"], kind, "requestParameters.name", derived=True)
                break
    for tree in ("requestParameters", "responseElements", "serviceEventDetails"):
        for path, key, value in _leaves(record.get(tree), tree):
            kind = keys.get(key, "")
            exact = _ID.fullmatch(value)
            if exact:
                kind = f"AWS::EC2::{_IDS[exact[1]]}"
            elif not kind and value.startswith("arn:"):
                kind = type_of_arn(value)
                if not _ARN.fullmatch(value):
                    continue
            elif not kind:
                continue
            yield Resource(value, kind, path, derived=True)


def _leaves(value: Any, path: str, key: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Path, key and text of each text in a tree; a list's items have the list's key."""
    if isinstance(value, str):
        if value and len(value) < 2_048:
            yield path, key, value
    elif depth < _DEEPEST and isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}", name, depth + 1)
    elif depth < _DEEPEST and isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]", key, depth + 1)
