package armapi

// types is the table: every resource type that the service knows.
func (s *Server) types() []ResourceType {
	return concat(
		s.resourcesTypes(),
		s.deploymentTypes(),
		s.templateSpecTypes(),
		s.desktopTypes(),
		s.computeTypes(),
		s.networkTypes(),
		s.hybridTypes(),
		s.insightsTypes(),
		s.metricTypes(),
		s.authorizationTypes(),
	)
}

// doors are the paths that name no resource.
func (s *Server) doors() []Door {
	return concat(
		s.subscriptionDoors(),
		s.providerDoors(),
		s.groupDoors(),
		s.deploymentDoors(),
		s.resourceDoors(),
		s.operationDoors(),
		s.metadataDoors(),
		s.activityDoors(),
		s.desktopDoors(),
		s.orphanDoors(),
		s.connectionDoors(),
		s.computeDoors(),
		s.networkDoors(),
		s.authorizationDoors(),
	)
}

func concat[T any](parts ...[]T) []T {
	var all []T
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
