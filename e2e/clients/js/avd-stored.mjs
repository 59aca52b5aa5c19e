// The operations of @azure/arm-desktopvirtualization on what a pool has stored for
// later: scaling plans with their schedules, MSIX and app attach packages.

import { all, must } from "./steps.mjs";

const at = (hour, minute = 0) => ({ hour, minute });

const pooledSchedule = {
  daysOfWeek: ["Monday", "Tuesday"],
  rampUpStartTime: at(7),
  rampUpLoadBalancingAlgorithm: "BreadthFirst",
  rampUpMinimumHostsPct: 20,
  rampUpCapacityThresholdPct: 60,
  peakStartTime: at(9),
  peakLoadBalancingAlgorithm: "BreadthFirst",
  rampDownStartTime: at(17, 30),
  rampDownLoadBalancingAlgorithm: "DepthFirst",
  rampDownMinimumHostsPct: 10,
  rampDownCapacityThresholdPct: 90,
  rampDownForceLogoffUsers: false,
  rampDownStopHostsWhen: "ZeroSessions",
  rampDownWaitTimeMinutes: 30,
  rampDownNotificationMessage: "Please log off",
  offPeakStartTime: at(20),
  offPeakLoadBalancingAlgorithm: "DepthFirst",
};

const personalSchedule = {
  daysOfWeek: ["Monday"],
  rampUpStartTime: at(6),
  rampUpAutoStartHosts: "None",
  rampUpStartVMOnConnect: "Enable",
  rampUpActionOnDisconnect: "None",
  rampUpMinutesToWaitOnDisconnect: 10,
  rampUpActionOnLogoff: "None",
  rampUpMinutesToWaitOnLogoff: 10,
  peakStartTime: at(8),
  peakStartVMOnConnect: "Enable",
  peakActionOnDisconnect: "None",
  peakMinutesToWaitOnDisconnect: 10,
  peakActionOnLogoff: "Deallocate",
  peakMinutesToWaitOnLogoff: 10,
  rampDownStartTime: at(18),
  rampDownStartVMOnConnect: "Enable",
  rampDownActionOnDisconnect: "None",
  rampDownMinutesToWaitOnDisconnect: 10,
  rampDownActionOnLogoff: "Deallocate",
  rampDownMinutesToWaitOnLogoff: 10,
  offPeakStartTime: at(20),
  offPeakStartVMOnConnect: "Enable",
  offPeakActionOnDisconnect: "None",
  offPeakMinutesToWaitOnDisconnect: 10,
  offPeakActionOnLogoff: "Deallocate",
  offPeakMinutesToWaitOnLogoff: 10,
};

/** Scaling plans and both kinds of schedules. */
export async function schedules(run, client, { rg, location, pool }) {
  const plans = client.scalingPlans;
  const plan = { location, timeZone: "UTC", hostPoolType: "Pooled", exclusionTag: "keep", schedules: [] };
  await run.step("scalingPlans.create", async () => {
    const made = await plans.create(rg, "sp1", { ...plan, hostPoolReferences: [{ hostPoolArmPath: pool, scalingPlanEnabled: false }] });
    must(made.timeZone === "UTC" && made.hostPoolReferences.length === 1, "not what was stored");
    await plans.create(rg, "sp2", { ...plan, hostPoolType: "Personal", hostPoolReferences: [] });
  });
  await run.step("scalingPlans.get", async () => must((await plans.get(rg, "sp1")).exclusionTag === "keep", "not what was stored"));
  await run.step("scalingPlans.update", async () => {
    const changed = await plans.update(rg, "sp1", { scalingPlan: { friendlyName: "Office hours" } });
    must(changed.friendlyName === "Office hours" && changed.exclusionTag === "keep", "PATCH must change what it names and no more");
  });
  await run.step("scalingPlans.listByResourceGroup", async () => must((await all(plans.listByResourceGroup(rg))).length === 2, "wanted two"));
  await run.step("scalingPlans.listBySubscription", () => all(plans.listBySubscription()));
  await run.step("scalingPlans.listByHostPool", async () => must((await all(plans.listByHostPool(rg, "hp1"))).length === 1, "wanted one"));

  await scheduleKind(run, "scalingPlanPooledSchedules", client.scalingPlanPooledSchedules, { rg, plan: "sp1" }, pooledSchedule);
  await scheduleKind(run, "scalingPlanPersonalSchedules", client.scalingPlanPersonalSchedules, { rg, plan: "sp2" }, personalSchedule);

  await run.step("scalingPlans.delete", async () => {
    await plans.delete(rg, "sp1");
    await plans.delete(rg, "sp2");
    must((await all(plans.listByResourceGroup(rg))).length === 0, "still listed");
  });
}

async function scheduleKind(run, name, ops, { rg, plan }, body) {
  await run.step(`${name}.create`, async () => {
    const made = await ops.create(rg, plan, "weekdays", body);
    must(made.rampUpStartTime.hour === body.rampUpStartTime.hour, "not what was stored");
  });
  await run.step(`${name}.get`, async () => must((await ops.get(rg, plan, "weekdays")).daysOfWeek.length === body.daysOfWeek.length, "not what was stored"));
  await run.step(`${name}.list`, async () => must((await all(ops.list(rg, plan))).length === 1, "wanted one"));
  await run.step(`${name}.update`, async () => {
    const changed = await ops.update(rg, plan, "weekdays", { scalingPlanSchedule: { peakStartTime: at(10, 15) } });
    must(changed.peakStartTime.minute === 15, "not changed");
  });
  await run.step(`${name}.delete`, async () => {
    await ops.delete(rg, plan, "weekdays");
    must((await all(ops.list(rg, plan))).length === 0, "still listed");
  });
}

const image = {
  imagePath: "\\\\files\\apps\\editor.vhdx",
  packageName: "Editor",
  packageFamilyName: "Editor_abcdefghijkl1",
  packageRelativePath: "\\packages\\editor",
  displayName: "Editor",
  version: "1.2.3.4",
  isActive: false,
  isRegularRegistration: false,
  lastUpdated: new Date("2026-01-02T03:04:05Z"),
  packageDependencies: [{ dependencyName: "Runtime", publisher: "CN=Somebody", minVersion: "1.0.0.0" }],
  packageApplications: [{ appId: "App", appUserModelID: "Editor!App", friendlyName: "Editor", iconImageName: "e.png", description: "d" }],
};

/** MSIX packages of a pool and app attach packages, with the look-ups into an image. */
export async function packages(run, client, { rg, location, pool, poolId }) {
  const msix = client.msixPackages;
  const name = "Editor_1.2.3.4_x64__abcdefghijkl1";
  await run.step("msixPackages.createOrUpdate", async () => {
    const made = await msix.createOrUpdate(rg, pool, name, image);
    must(made.lastUpdated.getTime() === image.lastUpdated.getTime(), "not what was stored");
  });
  await run.step("msixPackages.get", async () => must((await msix.get(rg, pool, name)).version === "1.2.3.4", "not what was stored"));
  await run.step("msixPackages.update", async () => must((await msix.update(rg, pool, name, { msixPackage: { isActive: true } })).isActive, "not changed"));
  await run.step("msixPackages.list", async () => must((await all(msix.list(rg, pool))).length === 1, "wanted one"));
  await run.step("msixPackages.delete", () => msix.delete(rg, pool, name));
  // The pool has no host that could open the image.
  await run.refused("msixImages.listExpand", 409, () => all(client.msixImages.listExpand(rg, pool, { uri: image.imagePath })));
  await run.refused("appAttachPackageInfo.listImport", 409, () => all(client.appAttachPackageInfo.listImport(rg, pool, { path: image.imagePath })));

  const attach = client.appAttachPackageOperations;
  await run.step("appAttachPackageOperations.createOrUpdate", async () => {
    const made = await attach.createOrUpdate(rg, "editor", {
      location,
      properties: { image: { ...image, packageFullName: name }, hostPoolReferences: [poolId], failHealthCheckOnStagingFailure: "NeedsAssistance" },
    });
    must(made.properties.image.packageFullName === name, "not what was stored");
  });
  await run.step("appAttachPackageOperations.get", () => attach.get(rg, "editor"));
  await run.step("appAttachPackageOperations.update", async () => {
    const changed = await attach.update(rg, "editor", { appAttachPackagePatch: { properties: { failHealthCheckOnStagingFailure: "Unhealthy" } } });
    must(changed.properties.failHealthCheckOnStagingFailure === "Unhealthy", "not changed");
  });
  await run.step("appAttachPackageOperations.listByResourceGroup", async () =>
    must((await all(attach.listByResourceGroup(rg))).length === 1, "wanted one"),
  );
  await run.step("appAttachPackageOperations.listBySubscription", () => all(attach.listBySubscription()));
  await run.step("appAttachPackageOperations.delete", () => attach.delete(rg, "editor"));
}
