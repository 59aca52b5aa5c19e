package deskyard

import (
	"fmt"

	"github.com/deskyard/deskyard/arm"
)

// scalingPoolTypes: the stable enum lists Pooled only, the service takes Personal too.
var scalingPoolTypes = []string{"Pooled", "Personal", "BYODesktop"}

// ScalingPlan is the settable properties of a scaling plan. Its schedules are
// resources of their own; those in a plan's body are written through to them.
type ScalingPlan struct {
	Description        *string             `json:"description"`
	FriendlyName       *string             `json:"friendlyName"`
	TimeZone           string              `json:"timeZone"` // Windows name
	HostPoolType       string              `json:"hostPoolType"`
	ExclusionTag       *string             `json:"exclusionTag"`
	Schedules          []NamedSchedule     `json:"schedules,omitempty"`
	HostPoolReferences []ScalingHostPoolID `json:"hostPoolReferences"`
	ObjectID           string              `json:"objectId"` // given by the service
}

// NamedSchedule is a pooled schedule in the body of its plan.
type NamedSchedule struct {
	Name string `json:"name"`
	PooledSchedule
}

// ScalingHostPoolID assigns a plan to a host pool.
type ScalingHostPoolID struct {
	HostPoolARMPath    string `json:"hostPoolArmPath"`
	ScalingPlanEnabled bool   `json:"scalingPlanEnabled"`
}

// Default makes a plan of no said type one for pooled host pools.
func (p *ScalingPlan) Default(old Model) {
	p.ObjectID = ""
	if o, _ := old.(*ScalingPlan); o != nil {
		p.ObjectID = o.ObjectID
		if p.HostPoolType == "" {
			p.HostPoolType = o.HostPoolType
		}
	}
	if p.HostPoolType == "" {
		p.HostPoolType = "Pooled"
	}
	p.HostPoolType = canonical(p.HostPoolType, scalingPoolTypes)
	if zone := canonicalZone(&p.TimeZone); zone != nil {
		p.TimeZone = *zone
	}
	if p.ExclusionTag == nil {
		p.ExclusionTag = new(string)
	}
	if p.HostPoolReferences == nil {
		p.HostPoolReferences = []ScalingHostPoolID{}
	}
	for i := range p.Schedules {
		p.Schedules[i].PooledSchedule.Default(nil)
	}
}

// Validate notes every fault that can be seen without the host pools.
func (p *ScalingPlan) Validate(old Model, v *arm.Violations) {
	if p.TimeZone == "" {
		required(v, "properties.timeZone", "")
	} else {
		knownZone(v, "properties.timeZone", p.TimeZone)
	}
	inEnum(v, "properties.hostPoolType", p.HostPoolType, scalingPoolTypes)
	if o, _ := old.(*ScalingPlan); o != nil {
		unchanged(v, "properties.hostPoolType", o.HostPoolType, p.HostPoolType)
	}
	notLonger(v, "properties.friendlyName", p.FriendlyName, maxFriendlyName)
	notLonger(v, "properties.description", p.Description, maxDescription)
	notLonger(v, "properties.exclusionTag", p.ExclusionTag, 512) // a tag name has at most 512 characters
	seen := map[string]bool{}
	for i, r := range p.HostPoolReferences {
		at := fmt.Sprintf("properties.hostPoolReferences[%d].hostPoolArmPath", i)
		refersTo(v, at, r.HostPoolARMPath, typeHostPool)
		if id, err := arm.ParseID(r.HostPoolARMPath); err == nil {
			if seen[id.Key()] {
				v.Add(at, "The host pool '%s' is given twice.", id.Name())
			}
			seen[id.Key()] = true
		}
	}
	p.validateSchedules(v)
}

func (p *ScalingPlan) validateSchedules(v *arm.Violations) {
	if len(p.Schedules) > 0 && p.HostPoolType != "Pooled" {
		v.Add("properties.schedules", "A %s scaling plan takes no schedules in its body: PUT its personalSchedules instead.", p.HostPoolType)
		return
	}
	days := map[string][]string{}
	for i := range p.Schedules {
		s, at := &p.Schedules[i], fmt.Sprintf("properties.schedules[%d]", i)
		if s.Name == "" {
			v.Add(at+".name", "The property 'name' is required: it names the schedule.")
		}
		if _, twice := days[s.Name]; twice {
			v.Add(at+".name", "The schedule '%s' is given twice.", s.Name)
		}
		s.validateAt(at, v)
		for name, taken := range days {
			if day := CommonDay(taken, s.DaysOfWeek); day != "" {
				v.Add(at+".daysOfWeek", "%s is in the schedules '%s' and '%s'; a day may be in one only.", day, name, s.Name)
			}
		}
		days[s.Name] = s.DaysOfWeek
	}
}

// Refs are the host pools that the plan is assigned to.
func (p *ScalingPlan) Refs() []Ref {
	ids := make([]string, 0, len(p.HostPoolReferences))
	for _, r := range p.HostPoolReferences {
		ids = append(ids, r.HostPoolARMPath)
	}
	return refsTo(RelationScalingHostPool, ids...)
}

// Unassign takes a host pool out of the plan.
func (p *ScalingPlan) Unassign(pool arm.ResourceID) {
	kept := []ScalingHostPoolID{}
	for _, r := range p.HostPoolReferences {
		if id, err := arm.ParseID(r.HostPoolARMPath); err != nil || !id.Equal(pool) {
			kept = append(kept, r)
		}
	}
	p.HostPoolReferences = kept
}
