"""What AWS's own APIs call things: where a call has the name of a resource, and what else it makes or removes with it.

Names are compared only where their type is known: a role, a user, a bucket and a function may all be called `deploy`.
The parameters are those of the services' API references, as CloudTrail writes them (`dBInstanceIdentifier`), without case.
https://docs.aws.amazon.com/config/latest/developerguide/resource-config-reference.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from audit_search.causes.words import words

_SOURCES: Final[Mapping[str, str]] = {
    "elasticloadbalancingv2": "elasticloadbalancing",
    "cloudwatch": "monitoring",
    "stepfunctions": "states",
    "opensearch": "es",
    "opensearchservice": "es",
    "elasticsearch": "es",
    "efs": "elasticfilesystem",
    "msk": "kafka",
    "wafregional": "waf-regional",
    "certificatemanager": "acm",
    "emr": "elasticmapreduce",
    "amazonmq": "mq",
}
"""The services whose resource types have another name than their events' source."""

_NOUNS: Final[Mapping[str, str]] = {
    "aws::ec2::eip": "Address",
    "aws::ec2::networkacl": "NetworkAcl",
    "aws::rds::eventsubscription": "EventSubscription",
    "aws::elasticsearch::domain": "Domain",
    "aws::logs::loggroup": "LogGroup",
    "aws::config::configrule": "ConfigRule",
}

_NAMED: Final[Mapping[str, tuple[str, ...]]] = {
    "aws::ec2::securitygroup": ("groupname",),
    "aws::ec2::launchtemplate": ("launchtemplatename",),
    "aws::iam::role": ("rolename",),
    "aws::iam::user": ("username",),
    "aws::iam::group": ("groupname",),
    "aws::iam::policy": ("policyname@CreatePolicy",),
    "aws::iam::instanceprofile": ("instanceprofilename",),
    "aws::s3::bucket": ("bucketname",),
    "aws::lambda::function": ("functionname",),
    "aws::rds::dbinstance": ("dbinstanceidentifier",),
    "aws::rds::dbcluster": ("dbclusteridentifier",),
    "aws::rds::dbsnapshot": ("dbsnapshotidentifier",),
    "aws::rds::dbclustersnapshot": ("dbclustersnapshotidentifier",),
    "aws::rds::dbsubnetgroup": ("dbsubnetgroupname",),
    "aws::rds::dbsecuritygroup": ("dbsecuritygroupname",),
    "aws::rds::eventsubscription": ("subscriptionname",),
    "aws::dynamodb::table": ("tablename",),
    "aws::sqs::queue": ("queueurl", "queuename"),
    "aws::sns::topic": ("topicarn", "name@CreateTopic"),
    "aws::cloudformation::stack": ("stackname",),
    "aws::autoscaling::autoscalinggroup": ("autoscalinggroupname",),
    "aws::autoscaling::launchconfiguration": ("launchconfigurationname",),
    "aws::elasticloadbalancing::loadbalancer": ("loadbalancername",),
    "aws::elasticloadbalancingv2::loadbalancer": ("name@CreateLoadBalancer",),
    "aws::cloudwatch::alarm": ("alarmname", "alarmnames"),
    "aws::cloudtrail::trail": ("name", "trailname"),
    "aws::kms::alias": ("aliasname",),
    "aws::kms::key": ("keyid",),
    "aws::secretsmanager::secret": ("secretid", "name@CreateSecret"),
    "aws::ecs::cluster": ("clustername", "cluster"),
    "aws::ecs::service": ("servicename", "service"),
    "aws::ecr::repository": ("repositoryname",),
    "aws::eks::cluster": ("clustername", "name"),
    "aws::redshift::cluster": ("clusteridentifier",),
    "aws::opensearch::domain": ("domainname",),
    "aws::elasticsearch::domain": ("domainname",),
    "aws::kinesis::stream": ("streamname",),
    "aws::codebuild::project": ("projectname", "name"),
    "aws::codepipeline::pipeline": ("pipelinename", "name"),
    "aws::stepfunctions::statemachine": ("statemachinearn", "name@CreateStateMachine"),
    "aws::events::rule": ("rule", "name"),
    "aws::logs::loggroup": ("loggroupname",),
    "aws::config::configrule": ("configrulename",),
    "aws::elasticbeanstalk::environment": ("environmentname",),
    "aws::elasticbeanstalk::application": ("applicationname",),
    "aws::ssm::document": ("name", "documentname"),
    "aws::ssm::parameter": ("name",),
}
"""Type -> the parameters that hold its name; `name@CreateTopic`: only in calls of this API."""

_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "aws::ec2::instance": frozenset({"aws::ec2::volume", "aws::ec2::networkinterface"}),
    "aws::ec2::vpc": frozenset({"aws::ec2::securitygroup", "aws::ec2::networkacl", "aws::ec2::routetable"}),
    "aws::ec2::natgateway": frozenset({"aws::ec2::networkinterface"}),
    "aws::ec2::vpcendpoint": frozenset({"aws::ec2::networkinterface"}),
    "aws::lambda::function": frozenset({"aws::ec2::networkinterface"}),
    "aws::elasticloadbalancing::loadbalancer": frozenset({"aws::ec2::networkinterface"}),
    "aws::elasticloadbalancingv2::loadbalancer": frozenset(
        {"aws::ec2::networkinterface", "aws::elasticloadbalancingv2::listener"}
    ),
    "aws::rds::dbinstance": frozenset({"aws::ec2::networkinterface"}),
    "aws::kms::key": frozenset({"aws::kms::alias"}),
}
"""Type -> the types that come and go with it, in no call of their own: the volumes of an instance, a network's own group."""

_UNIQUE = re.compile(
    r"[a-z]{1,12}(?:-[a-z]{1,12}){0,2}-[0-9a-f]{8}(?:[0-9a-f]{9})?"  # EC2: i-0123456789abcdef0, eipalloc-…, tgw-attach-…
    r"|(?:aida|aroa|agpa|anpa|aipa|asca)[a-z0-9]{12,}"  # IAM's unique ids
    r"|[a-z]{2,12}-[a-z0-9]{20,}"  # RDS: db-…, cluster-…
    r"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|mrk-[0-9a-f]{32}"
    r"|arn:.+|https://.+",
    re.ASCII,
)


def unique(identifier: str) -> bool:
    """Whether an id (in lower case) stands for one resource wherever it is found."""
    return _UNIQUE.fullmatch(identifier) is not None


def source(kind: str) -> str:
    """The source of the events about a type, without `.amazonaws.com`: `AWS::CloudWatch::Alarm` -> `monitoring`."""
    service = kind.split("::")[1].lower() if kind.count("::") >= 2 else ""
    return _SOURCES.get(service, service)


def noun(kind: str) -> frozenset[str]:
    """The words for a resource of a type in the names of calls."""
    return words(_NOUNS.get(kind.lower()) or kind.rpartition("::")[2])


def named_at(kind: str, api: str) -> frozenset[str]:
    """The parameters (in lower case) in which a call of an API has the name of a resource of a type."""
    found = set()
    for parameter in _NAMED.get(kind.lower(), ()):
        key, _, only = parameter.partition("@")
        if not only or api.startswith(only):
            found.add(key)
    return frozenset(found)


def part_of(kind: str, other: str) -> bool:
    """Whether resources of a type come and go with those of another one."""
    return kind.lower() in _PARTS.get(other.lower(), ())
