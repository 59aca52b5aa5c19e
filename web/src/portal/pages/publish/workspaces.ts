// Changes of what is in a workspace: the whole list is written, under the etag with which it
// was read, and once more where somebody else changed it meanwhile.
import type { Arm } from '../../arm/arm'
import { ArmError } from '../../arm/errors'
import { sameID } from '../../arm/ids'
import type { Workspace } from '../../arm/types-publish'

const tries = 3

async function change(arm: Arm, workspace: string, edit: (references: string[]) => string[]): Promise<void> {
  for (let turn = 1; ; turn++) {
    const now = await arm.send<Workspace>('GET', workspace)
    const before = now.body.properties.applicationGroupReferences ?? []
    const after = edit(before)
    if (after.length === before.length) return
    try {
      await arm.patch(workspace, { properties: { applicationGroupReferences: after } }, { ifMatch: now.etag })
      return
    } catch (thrown) {
      if (!(thrown instanceof ArmError && thrown.conflict) || turn === tries) throw thrown
    }
  }
}

/** Puts an application group into a workspace. */
export const putInto = (arm: Arm, workspace: string, group: string) => change(arm, workspace, (all) => (all.some((g) => sameID(g, group)) ? all : [...all, group]))

/** Takes an application group out of a workspace. */
export const takeOut = (arm: Arm, workspace: string, group: string) => change(arm, workspace, (all) => all.filter((g) => !sameID(g, group)))
