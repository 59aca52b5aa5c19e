// The tab Tags.
import { TagRows } from '../../frame/TagRows'
import { portalTexts } from '../../texts/en'
import { At } from './Bound'
import { useWizard } from './wizard'

export function Tags() {
  const { draft, set, finding } = useWizard()
  return (
    <At field="tags">
      <p>{portalTexts.add.tagsHint}</p>
      <TagRows tags={draft.tags} change={(tags) => set({ tags })} error={finding('tags')} />
    </At>
  )
}
