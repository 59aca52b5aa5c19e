package deskyard

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// VMSize is a size of virtual machines: what it has, and what it can do.
type VMSize struct {
	Name         string // "Standard_D2s_v3"
	Family       string // quota that its processors count against: "standardDSv3Family"
	CPUs         int
	MemoryMB     int
	TempDiskMB   int // 0: none
	MaxDataDisks int
	MaxNICs      int
	GPUs         int

	Premium       bool // takes Premium_LRS disks
	Hibernation   bool
	TrustedLaunch bool
	Confidential  string // "SNP" or "TDX" where the family encrypts memory, "" otherwise
	Generations   string // "V1", "V2" or "V1,V2": of images that it boots
}

// customSize is the form of sizes that operators make up: Custom_{vCPUs}_{MiB}, for
// hosts that are smaller than any of Azure's sizes or shaped otherwise.
var customSize = regexp.MustCompile(`(?i)^Custom_([1-9][0-9]{0,3})_([1-9][0-9]{1,7})$`)

// Bounds of a custom size, those of the largest machines that QEMU makes on one host
// and the least that boots a Linux kernel.
const (
	maxCustomCPUs   = 1024
	minCustomMemory = 128
	maxCustomMemory = 12 << 20 // MiB
)

var catalogue = sync.OnceValues(func() ([]VMSize, map[string]VMSize) {
	all := slices.Concat(listedSizes(), familySizes())
	slices.SortFunc(all, func(a, b VMSize) int { return strings.Compare(a.Name, b.Name) })
	byName := make(map[string]VMSize, len(all))
	for _, s := range all {
		byName[strings.ToLower(s.Name)] = s
	}
	return all, byName
})

// VMSizes lists the sizes of the catalogue by name. Custom sizes are not in it: there
// is one for every number of processors and amount of memory.
func VMSizes() []VMSize {
	all, _ := catalogue()
	return slices.Clone(all)
}

// LookupVMSize finds a size by name, in any case: one of Azure's, or a custom one
// ("Custom_2_1536": 2 virtual processors and 1536 MiB of memory).
func LookupVMSize(name string) (VMSize, bool) {
	_, byName := catalogue()
	if s, ok := byName[strings.ToLower(strings.TrimSpace(name))]; ok {
		return s, true
	}
	m := customSize.FindStringSubmatch(strings.TrimSpace(name))
	if m == nil {
		return VMSize{}, false
	}
	cpus, _ := strconv.Atoi(m[1]) // digits within the pattern's bounds
	memory, _ := strconv.Atoi(m[2])
	if cpus > maxCustomCPUs || memory < minCustomMemory || memory > maxCustomMemory {
		return VMSize{}, false
	}
	return VMSize{Name: fmt.Sprintf("Custom_%d_%d", cpus, memory), Family: "customFamily", CPUs: cpus, MemoryMB: memory,
		MaxNICs: 8, Premium: true, Hibernation: true, TrustedLaunch: true, Generations: "V1,V2"}, true
}

// sizeFamily is a rule that makes the sizes of a family: so many processors, memory
// and temporary disk in proportion.
type sizeFamily struct {
	name     string // with %d for the number of processors: "Standard_D%ds_v3"
	family   string
	cpus     []int
	memory   float64 // GiB per processor
	most     int     // GiB at most, where the largest sizes have less than their share; 0: none
	temp     float64 // GiB per processor
	hiber    int     // GiB of memory up to which sizes hibernate; 0: none do
	confid   string
	oldBoot  bool // boots generation 1 too
	standard bool // takes no premium disks
}

// general is a family of the current shape: premium disks, trusted launch, both
// generations of images.
func general(name, family string, memory, temp float64, hiber int, cpus ...int) sizeFamily {
	return sizeFamily{name: name, family: family, cpus: cpus, memory: memory, temp: temp, hiber: hiber, oldBoot: true}
}

// hibernating is the most memory of a general purpose size that hibernates (article
// "Hibernate virtual machines", supported VM sizes).
const hibernating = 64

var (
	upTo64 = []int{2, 4, 8, 16, 32, 48, 64}
	upTo96 = []int{2, 4, 8, 16, 32, 48, 64, 96}
	eUpTo  = []int{2, 4, 8, 16, 20, 32, 48, 64}
	e96    = []int{2, 4, 8, 16, 20, 32, 48, 64, 96}
)

// sizeFamilies are Azure's, from its articles on sizes.
func sizeFamilies() []sizeFamily {
	plain := func(f sizeFamily) sizeFamily { f.standard = true; return f }
	secure := func(f sizeFamily, how string) sizeFamily { f.confid, f.oldBoot = how, false; return f }
	capped := func(f sizeFamily, most int) sizeFamily { f.most = most; return f }
	return []sizeFamily{
		general("Standard_B%dls_v2", "standardBsv2Family", 2, 0, 0, 2, 4, 8, 16, 32),
		general("Standard_B%ds_v2", "standardBsv2Family", 4, 0, 0, 2, 4, 8, 16, 32),
		general("Standard_B%das_v2", "standardBasv2Family", 4, 0, 0, 2, 4, 8, 16, 32),
		plain(general("Standard_D%d_v3", "standardDv3Family", 4, 25, 0, upTo64...)),
		general("Standard_D%ds_v3", "standardDSv3Family", 4, 8, 0, upTo64...),
		plain(general("Standard_D%d_v4", "standardDv4Family", 4, 0, 0, upTo64...)),
		general("Standard_D%ds_v4", "standardDSv4Family", 4, 0, 0, upTo64...),
		plain(general("Standard_D%dd_v4", "standardDDv4Family", 4, 37.5, 0, upTo64...)),
		general("Standard_D%dds_v4", "standardDDSv4Family", 4, 37.5, 0, upTo64...),
		plain(general("Standard_D%da_v4", "standardDAv4Family", 4, 25, 0, upTo96...)),
		general("Standard_D%das_v4", "standardDASv4Family", 4, 8, 0, upTo96...),
		plain(general("Standard_D%d_v5", "standardDv5Family", 4, 0, 0, upTo96...)),
		general("Standard_D%ds_v5", "standardDSv5Family", 4, 0, hibernating, upTo96...),
		plain(general("Standard_D%dd_v5", "standardDDv5Family", 4, 37.5, 0, upTo96...)),
		general("Standard_D%dds_v5", "standardDDSv5Family", 4, 37.5, hibernating, upTo96...),
		general("Standard_D%das_v5", "standardDASv5Family", 4, 0, hibernating, upTo96...),
		general("Standard_D%dads_v5", "standardDADSv5Family", 4, 37.5, hibernating, upTo96...),
		general("Standard_D%dls_v5", "standardDLSv5Family", 2, 0, 0, upTo96...),
		general("Standard_D%dlds_v5", "standardDLDSv5Family", 2, 37.5, 0, upTo96...),
		general("Standard_D%ds_v6", "standardDsv6Family", 4, 0, hibernating, upTo96...),
		general("Standard_D%dds_v6", "standardDdsv6Family", 4, 55, hibernating, upTo96...),
		general("Standard_D%das_v6", "standardDav6Family", 4, 0, hibernating, upTo96...),
		secure(general("Standard_DC%das_v5", "standardDCASv5Family", 4, 0, 0, upTo96...), "SNP"),
		secure(general("Standard_DC%dads_v5", "standardDCADSv5Family", 4, 37.5, 0, upTo96...), "SNP"),
		secure(general("Standard_DC%des_v5", "standardDCEv5Family", 4, 0, 0, upTo96...), "TDX"),
		capped(plain(general("Standard_E%d_v3", "standardEv3Family", 8, 25, 0, eUpTo...)), 432),
		capped(general("Standard_E%ds_v3", "standardESv3Family", 8, 16, 0, eUpTo...), 432),
		capped(plain(general("Standard_E%d_v4", "standardEv4Family", 8, 0, 0, eUpTo...)), 504),
		capped(general("Standard_E%ds_v4", "standardESv4Family", 8, 0, 0, eUpTo...), 504),
		capped(general("Standard_E%dds_v4", "standardEDSv4Family", 8, 37.5, 0, eUpTo...), 504),
		general("Standard_E%das_v4", "standardEASv4Family", 8, 16, 0, eUpTo...),
		plain(general("Standard_E%d_v5", "standardEv5Family", 8, 0, 0, eUpTo...)),
		general("Standard_E%ds_v5", "standardESv5Family", 8, 0, hibernating, eUpTo...),
		general("Standard_E%dds_v5", "standardEDSv5Family", 8, 37.5, hibernating, eUpTo...),
		capped(general("Standard_E%das_v5", "standardEASv5Family", 8, 0, hibernating, e96...), 672),
		capped(general("Standard_E%dads_v5", "standardEADSv5Family", 8, 37.5, hibernating, e96...), 672),
		general("Standard_E%ds_v6", "standardEsv6Family", 8, 0, hibernating, eUpTo...),
		secure(general("Standard_EC%das_v5", "standardECASv5Family", 8, 0, 0, eUpTo...), "SNP"),
		plain(general("Standard_F%d", "standardFFamily", 2, 16, 0, 1, 2, 4, 8, 16)),
		general("Standard_F%ds", "standardFSFamily", 2, 4, 0, 1, 2, 4, 8, 16),
		general("Standard_F%ds_v2", "standardFSv2Family", 2, 8, 0, 2, 4, 8, 16, 32, 48, 64, 72),
		general("Standard_L%ds_v3", "standardLSv3Family", 8, 10, 0, 8, 16, 32, 48, 64, 80),
	}
}

// familySizes are the sizes that the rules make.
func familySizes() []VMSize {
	var out []VMSize
	for _, f := range sizeFamilies() {
		for _, n := range f.cpus {
			memory := f.memory * float64(n)
			if f.most > 0 {
				memory = min(memory, float64(f.most))
			}
			s := VMSize{Name: fmt.Sprintf(f.name, n), Family: f.family, CPUs: n, MemoryMB: int(memory * 1024), TempDiskMB: int(f.temp * float64(n) * 1024),
				MaxDataDisks: min(4+2*(n-2), 32), MaxNICs: nicsFor(n), Premium: !f.standard, TrustedLaunch: true,
				Hibernation: float64(f.hiber) >= memory && f.hiber > 0, Confidential: f.confid, Generations: "V2"}
			if f.oldBoot {
				s.Generations = "V1,V2"
			}
			s.MaxDataDisks = max(s.MaxDataDisks, 2)
			out = append(out, s)
		}
	}
	return out
}

func nicsFor(cpus int) int {
	switch {
	case cpus < 8:
		return 2
	case cpus < 16:
		return 4
	}
	return 8
}

// sizeLine is a size that follows no rule.
type sizeLine struct {
	name, family string
	cpus         int
	memory       float64 // GiB
	temp         int     // GiB
	gpus         int
	flags        string // p: premium, h: hibernates, t: trusted launch
}

// listedSizes are the sizes that follow no rule: burstable ones, those of the first
// versions, and those with a graphics processor.
func listedSizes() []VMSize {
	var out []VMSize
	for _, l := range sizeLines {
		s := VMSize{Name: "Standard_" + l.name, Family: l.family, CPUs: l.cpus, MemoryMB: int(l.memory * 1024), TempDiskMB: l.temp * 1024,
			MaxDataDisks: max(2, min(2*l.cpus, 32)), MaxNICs: nicsFor(l.cpus), GPUs: l.gpus,
			Premium: strings.Contains(l.flags, "p"), Hibernation: strings.Contains(l.flags, "h"),
			TrustedLaunch: strings.Contains(l.flags, "t"), Generations: "V1"}
		if s.TrustedLaunch {
			s.Generations = "V1,V2"
		}
		out = append(out, s)
	}
	return out
}

var sizeLines = []sizeLine{
	{"A1_v2", "standardAv2Family", 1, 2, 10, 0, ""}, {"A2_v2", "standardAv2Family", 2, 4, 20, 0, ""},
	{"A4_v2", "standardAv2Family", 4, 8, 40, 0, ""}, {"A8_v2", "standardAv2Family", 8, 16, 80, 0, ""},
	{"A2m_v2", "standardAv2Family", 2, 16, 20, 0, ""}, {"A4m_v2", "standardAv2Family", 4, 32, 40, 0, ""},
	{"A8m_v2", "standardAv2Family", 8, 64, 80, 0, ""},
	{"B1ls", "standardBSFamily", 1, 0.5, 4, 0, "pt"}, {"B1s", "standardBSFamily", 1, 1, 4, 0, "pt"},
	{"B1ms", "standardBSFamily", 1, 2, 4, 0, "pt"}, {"B2s", "standardBSFamily", 2, 4, 8, 0, "pt"},
	{"B2ms", "standardBSFamily", 2, 8, 16, 0, "pt"}, {"B4ms", "standardBSFamily", 4, 16, 32, 0, "pt"},
	{"B8ms", "standardBSFamily", 8, 32, 64, 0, "pt"}, {"B12ms", "standardBSFamily", 12, 48, 96, 0, "pt"},
	{"B16ms", "standardBSFamily", 16, 64, 128, 0, "pt"}, {"B20ms", "standardBSFamily", 20, 80, 160, 0, "pt"},
	{"B2ts_v2", "standardBsv2Family", 2, 1, 0, 0, "pt"},
	{"D1_v2", "standardDv2Family", 1, 3.5, 50, 0, ""}, {"D2_v2", "standardDv2Family", 2, 7, 100, 0, ""},
	{"D3_v2", "standardDv2Family", 4, 14, 200, 0, ""}, {"D4_v2", "standardDv2Family", 8, 28, 400, 0, ""},
	{"D5_v2", "standardDv2Family", 16, 56, 800, 0, ""}, {"D11_v2", "standardDv2Family", 2, 14, 100, 0, ""},
	{"D12_v2", "standardDv2Family", 4, 28, 200, 0, ""}, {"D13_v2", "standardDv2Family", 8, 56, 400, 0, ""},
	{"D14_v2", "standardDv2Family", 16, 112, 800, 0, ""},
	{"DS1_v2", "standardDSv2Family", 1, 3.5, 7, 0, "pt"}, {"DS2_v2", "standardDSv2Family", 2, 7, 14, 0, "pt"},
	{"DS3_v2", "standardDSv2Family", 4, 14, 28, 0, "pt"}, {"DS4_v2", "standardDSv2Family", 8, 28, 56, 0, "pt"},
	{"DS5_v2", "standardDSv2Family", 16, 56, 112, 0, "pt"}, {"DS11_v2", "standardDSv2Family", 2, 14, 28, 0, "pt"},
	{"DS12_v2", "standardDSv2Family", 4, 28, 56, 0, "pt"}, {"DS13_v2", "standardDSv2Family", 8, 56, 112, 0, "pt"},
	{"DS14_v2", "standardDSv2Family", 16, 112, 224, 0, "pt"},
	{"NV4as_v4", "standardNVSv4Family", 4, 14, 88, 1, "pht"}, {"NV8as_v4", "standardNVSv4Family", 8, 28, 176, 1, "pht"},
	{"NV16as_v4", "standardNVSv4Family", 16, 56, 352, 1, "pht"}, {"NV32as_v4", "standardNVSv4Family", 32, 112, 704, 1, "pht"},
	{"NV12s_v3", "standardNVSv3Family", 12, 112, 320, 1, "pt"}, {"NV24s_v3", "standardNVSv3Family", 24, 224, 640, 2, "pt"},
	{"NV48s_v3", "standardNVSv3Family", 48, 448, 1280, 4, "pt"},
	{"NV6ads_A10_v5", "standardNVADSA10v5Family", 6, 55, 180, 1, "pht"}, {"NV12ads_A10_v5", "standardNVADSA10v5Family", 12, 110, 360, 1, "pht"},
	{"NV18ads_A10_v5", "standardNVADSA10v5Family", 18, 220, 720, 1, "pt"}, {"NV36ads_A10_v5", "standardNVADSA10v5Family", 36, 440, 1440, 1, "pt"},
	{"NV72ads_A10_v5", "standardNVADSA10v5Family", 72, 880, 2880, 2, "pt"},
	{"NC4as_T4_v3", "standardNCASv3_T4Family", 4, 28, 180, 1, "pt"}, {"NC8as_T4_v3", "standardNCASv3_T4Family", 8, 56, 360, 1, "pt"},
	{"NC16as_T4_v3", "standardNCASv3_T4Family", 16, 110, 360, 1, "pt"}, {"NC64as_T4_v3", "standardNCASv3_T4Family", 64, 440, 2880, 4, "pt"},
}
