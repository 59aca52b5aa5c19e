package armapi

import (
	"net/http"
	"regexp"
	"sort"

	"github.com/deskyard/deskyard"
)

const desktopNamespace = "Microsoft.DesktopVirtualization"

// previewToken is the one api-version at which GET of a host pool may show its
// token: Microsoft's templates say reference('POOL').registrationInfo.token with it.
const previewToken = "2019-12-10-preview"

// desktopVersions are the api-versions that clients in use send, oldest first. All
// are answered in the newest shape, of which the older ones are subsets.
var desktopVersions = []string{
	"2019-09-24-preview", previewToken, "2020-09-21-preview", "2020-10-19-preview", "2020-11-02-preview",
	"2020-11-10-preview", "2021-01-14-preview", "2021-02-01-preview", "2021-03-09-preview", "2021-04-01-preview",
	"2021-07-12", "2021-09-03-preview", "2022-01-12-preview", "2022-02-10-preview", "2022-04-01-preview",
	"2022-09-09", "2022-10-14-preview", "2023-07-07-preview", "2023-09-05", "2023-10-04-preview",
	"2023-11-01-preview", "2024-01-16-preview", "2024-03-06-preview", "2024-04-03", "2024-04-08-preview",
	"2024-08-08-preview", "2024-11-01-preview", "2025-03-01-preview", "2025-04-01-preview", "2025-08-01-preview",
	"2025-09-01-preview", "2025-10-10", "2025-11-01-preview", "2026-01-01-preview", "2026-03-01-preview", "2026-04-01-preview",
}

// since are the versions from one on: a type that came later has no older ones.
func since(version string) []string {
	return desktopVersions[sort.SearchStrings(desktopVersions, version):]
}

// desktopName is the pattern of most names (API description, path parameters).
var desktopName = regexp.MustCompile(`^[A-Za-z0-9@.\-_ ]*$`)

// packageName: lower case, and never two hyphens in a row (which the description's
// own pattern says with a look-ahead).
var packageName = regexp.MustCompile(`^[a-z0-9]([a-z0-9]|-[a-z0-9])+$`)

// crud are the verbs that most types have.
var crud = Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, Paged: true}

// desktopTypes are the rows of Microsoft.DesktopVirtualization.
func (s *Server) desktopTypes() []ResourceType {
	rows := concat(s.hostPoolTypes(), s.applicationGroupTypes(), s.workspaceTypes(), s.scalingPlanTypes(), s.packageTypes())
	for i := range rows {
		row := &rows[i]
		row.Namespace = desktopNamespace
		if row.Versions == nil {
			row.Versions = desktopVersions
		}
		if row.Name.Max == 0 {
			row.Name = NameRule{Min: 3, Max: 64, Pattern: desktopName}
		}
	}
	return rows
}

// desktopDoors are the paths of Microsoft.DesktopVirtualization that name no resource.
func (s *Server) desktopDoors() []Door {
	return []Door{{
		Method: http.MethodGet, Path: "/providers/" + desktopNamespace + "/operations",
		Versions: desktopVersions, Handle: s.listDesktopOperations,
	}, s.changesDoor(), s.overviewDoor()}
}

// desktopAction is an action's permission in the documented spelling.
func desktopAction(path string) string { return desktopNamespace + "/" + path }

// liveView is the view that actions render with.
func (s *Server) liveView(q *Request, reader deskyard.Reader) View {
	return View{Reader: reader, Fleet: s.fleet, Now: s.now(), Version: q.Version}
}
