#!/usr/bin/python3
"""Microsoft's Python SDK as Debian ships it (python3-azure), unmodified, against a
running Deskyard. Both of its ways to log in are tried: as at an ADFS authority and
as at an Entra one. DESKYARD_BOOTSTRAP names the file that `deskyard serve
--bootstrap` wrote."""

import datetime
import json
import os
import sys

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.desktopvirtualization import DesktopVirtualizationMgmtClient
from azure.mgmt.resource import ResourceManagementClient, SubscriptionClient

with open(os.environ["DESKYARD_BOOTSTRAP"], encoding="utf-8") as f:
    BOOT = json.load(f)
URL, SUB = BOOT["endpoint"], BOOT["subscriptionId"]
os.environ["REQUESTS_CA_BUNDLE"] = BOOT["caFile"]
SCOPES = [URL + "//.default"]


class Run:
    """Counts steps; a failed one does not end the others."""

    def __init__(self):
        self.passed = self.failed = 0

    def step(self, name, work, check=lambda answer: True):
        try:
            answer = work()
            if not check(answer):
                raise AssertionError(f"unexpected answer: {answer!s:.300}")
        except Exception as e:  # every failure is a finding, whatever its class
            self.failed += 1
            print(f"FAIL  {name}: {type(e).__name__}: {' '.join(str(e).split())[:400]}", flush=True)
            return None
        self.passed += 1
        print(f"ok    {name}", flush=True)
        return answer

    def refused(self, name, kind, work):
        def attempt():
            try:
                work()
            except kind as e:
                return e
            raise AssertionError("was not refused")

        self.step(name, attempt)


def schedule(at):
    return {
        "name": "weekdays", "daysOfWeek": ["Monday"],
        "rampUpStartTime": at(7), "rampUpLoadBalancingAlgorithm": "BreadthFirst",
        "rampUpMinimumHostsPct": 20, "rampUpCapacityThresholdPct": 60,
        "peakStartTime": at(9), "peakLoadBalancingAlgorithm": "BreadthFirst",
        "rampDownStartTime": at(18), "rampDownLoadBalancingAlgorithm": "DepthFirst",
        "rampDownMinimumHostsPct": 10, "rampDownCapacityThresholdPct": 90,
        "rampDownForceLogoffUsers": False, "rampDownStopHostsWhen": "ZeroSessions",
        "rampDownWaitTimeMinutes": 30, "rampDownNotificationMessage": "bye",
        "offPeakStartTime": at(20), "offPeakLoadBalancingAlgorithm": "DepthFirst",
    }


def desktops(run, avd, rg):
    """Pools, keys, hosts and groups, with api-version 2022-09-09."""
    pool_id = f"/subscriptions/{SUB}/resourceGroups/{rg}/providers/Microsoft.DesktopVirtualization/hostPools/hp1"
    pool = {"location": "local", "host_pool_type": "Pooled", "load_balancer_type": "BreadthFirst", "preferred_app_group_type": "Desktop"}
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=4)
    key = {"registration_info": {"expiration_time": expires, "registration_token_operation": "Update"}}
    run.step("host_pools.create_or_update", lambda: avd.host_pools.create_or_update(rg, "hp1", pool), lambda p: p.name == "hp1")
    run.step("host_pools.get", lambda: avd.host_pools.get(rg, "hp1"), lambda p: p.host_pool_type == "Pooled")
    run.step("host_pools.update", lambda: avd.host_pools.update(rg, "hp1", {"friendly_name": "one", **key}), lambda p: p.friendly_name == "one")
    run.step("host_pools.retrieve_registration_token", lambda: avd.host_pools.retrieve_registration_token(rg, "hp1"), lambda i: len(i.token.split(".")) == 3)
    run.step("host_pools.list_by_resource_group", lambda: list(avd.host_pools.list_by_resource_group(rg)), lambda l: len(l) == 1)
    run.step("host_pools.list", lambda: list(avd.host_pools.list()))
    run.step("session_hosts.list", lambda: list(avd.session_hosts.list(rg, "hp1")), lambda l: l == [])
    run.step("user_sessions.list_by_host_pool", lambda: list(avd.user_sessions.list_by_host_pool(rg, "hp1")), lambda l: l == [])
    run.refused("session_hosts.get of none", ResourceNotFoundError, lambda: avd.session_hosts.get(rg, "hp1", "nobody"))
    group = {"location": "local", "application_group_type": "RemoteApp", "host_pool_arm_path": pool_id}
    run.step("application_groups.create_or_update", lambda: avd.application_groups.create_or_update(rg, "apps", group), lambda g: g.name == "apps")
    app = {"command_line_setting": "DoNotAllow", "file_path": "C:\\notepad.exe"}
    run.step("applications.create_or_update", lambda: avd.applications.create_or_update(rg, "apps", "notepad", app), lambda a: a.file_path == "C:\\notepad.exe")
    run.step("applications.list", lambda: list(avd.applications.list(rg, "apps")), lambda l: len(l) == 1)
    ws = {"location": "local", "application_group_references": [pool_id.replace("hostPools/hp1", "applicationGroups/apps")]}
    run.step("workspaces.create_or_update", lambda: avd.workspaces.create_or_update(rg, "ws1", ws), lambda w: len(w.application_group_references) == 1)
    run.step("workspaces.list_by_subscription", lambda: list(avd.workspaces.list_by_subscription()))
    plan = {"location": "local", "time_zone": "UTC", "host_pool_type": "Pooled", "schedules": [schedule(lambda h: {"hour": h, "minute": 0})], "host_pool_references": []}
    run.step("scaling_plans.create", lambda: avd.scaling_plans.create(rg, "sp1", plan), lambda p: p.time_zone == "UTC")
    run.step("scaling_plans.delete", lambda: avd.scaling_plans.delete(rg, "sp1"))
    run.step("operations.list", lambda: list(avd.operations.list()), lambda l: len(l) > 50)
    run.step("workspaces.delete", lambda: avd.workspaces.delete(rg, "ws1"))
    run.step("application_groups.delete", lambda: avd.application_groups.delete(rg, "apps"))
    run.step("host_pools.delete", lambda: avd.host_pools.delete(rg, "hp1", force=True))
    run.refused("host_pools.create_or_update with a bad enum", HttpResponseError,
                lambda: avd.host_pools.create_or_update(rg, "bad", {**pool, "host_pool_type": "Round"}))


def story(run, name, credential):
    rg = "py-" + name
    arm = ResourceManagementClient(credential, SUB, base_url=URL, credential_scopes=SCOPES)
    subscriptions = SubscriptionClient(credential, base_url=URL, credential_scopes=SCOPES)
    avd = DesktopVirtualizationMgmtClient(credential, SUB, base_url=URL, credential_scopes=SCOPES)
    run.step(f"[{name}] subscriptions.list", lambda: [s.subscription_id for s in subscriptions.subscriptions.list()], lambda l: SUB in l)
    run.step(f"[{name}] resource_groups.create_or_update", lambda: arm.resource_groups.create_or_update(rg, {"location": "local"}), lambda g: g.name == rg)
    desktops(run, avd, rg)
    run.step(f"[{name}] resources.list_by_resource_group", lambda: list(arm.resources.list_by_resource_group(rg)), lambda l: l == [])
    run.step(f"[{name}] resource_groups.begin_delete", lambda: arm.resource_groups.begin_delete(rg).result(60))
    run.step(f"[{name}] resource_groups.check_existence", lambda: arm.resource_groups.check_existence(rg), lambda there: there is False)


def main():
    run = Run()
    secret = (BOOT["clientId"], BOOT["clientSecret"])
    story(run, "adfs", ClientSecretCredential("adfs", *secret, authority=URL))
    # The keyword is undocumented in this version of azure-identity; without it the
    # library asks Microsoft's own host about every other authority.
    story(run, "entra", ClientSecretCredential(BOOT["tenantId"], *secret, authority=URL, instance_discovery=False))
    print(f"Microsoft's Python SDK in Debian: {run.passed} passed, {run.failed} failed")
    sys.exit(run.failed != 0)


main()
