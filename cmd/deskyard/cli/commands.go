package cli

import "github.com/alecthomas/kong"

// Commands are the administrator's commands. The program embeds them in its own:
//
//	var root struct {
//		cli.Commands
//		Serve serveCommand `cmd:""`
//	}
//	parser := kong.Must(&root, kong.Name("deskyard"), kong.BindTo(ctx, (*context.Context)(nil)))
//	line, err := parser.Parse(os.Args[1:])
//	if err == nil {
//		err = line.Run()
//	}
//	os.Exit(cli.Report(os.Stderr, err))
type Commands struct {
	Login   loginCommand    `cmd:"" help:"Log in to a service." group:"account"`
	Logout  logoutCommand   `cmd:"" help:"Forget the login." group:"account"`
	Account accountCommands `cmd:"" help:"The login, and its subscriptions." group:"account"`

	desktopCommandSet
	// As in az desktopvirtualization hostpool …, for those who have it in their fingers.
	Desktopvirtualization desktopCommandSet `cmd:"" hidden:"" help:"The same commands under az's name."`

	Overview overviewCommand `cmd:"" help:"Count host pools, session hosts by status, sessions, keys about to expire and deployments." group:"desktops"`
	Explain  explainCommands `cmd:"" help:"Explain what the service decided." group:"desktops"`
	Whatif   whatIfCommand   `cmd:"" help:"Say which session host a user would get, and why; nothing happens." group:"desktops"`

	Group groupCommands `cmd:"" help:"Resource groups." group:"resources"`
	Rest  restCommand   `cmd:"" help:"Send any request to the service." group:"resources"`

	Image   imageCommands  `cmd:"" help:"Images that machines are cloned from; on the service's data folder." group:"resources"`
	Orphans orphansCommand `cmd:"" help:"What is on hypervisors and belongs to nobody." group:"resources"`

	User      userCommands             `cmd:"" help:"Users of the directory." group:"access"`
	Usergroup userGroupCommands        `cmd:"" help:"Groups of users of the directory." group:"access"`
	SP        servicePrincipalCommands `cmd:"" name:"sp" help:"Service principals: programs that log in." group:"access"`
	Role      roleCommands             `cmd:"" help:"Roles, and who has them." group:"access"`
	Audit     auditCommands            `cmd:"" help:"The audit log." group:"access"`

	Completion completionCommand `cmd:"" help:"Print a completion script for a shell." group:"account"`
	Complete   completeCommand   `cmd:"" name:"__complete" hidden:"" help:"Completes a command line; the completion scripts call it."`
}

// desktopCommandSet are the commands of Microsoft.DesktopVirtualization.
type desktopCommandSet struct {
	Hostpool         hostPoolCommands         `cmd:"" help:"Host pools and their registration keys." group:"desktops"`
	Sessionhost      sessionHostCommands      `cmd:"" help:"Session hosts." group:"desktops"`
	Usersession      userSessionCommands      `cmd:"" help:"User sessions." group:"desktops"`
	Connection       connectionCommands       `cmd:"" help:"Users' connections, and what came of them." group:"desktops"`
	Applicationgroup applicationGroupCommands `cmd:"" help:"Application groups." group:"desktops"`
	Application      applicationCommands      `cmd:"" help:"Applications of a RemoteApp group." group:"desktops"`
	Desktop          desktopCommands          `cmd:"" help:"Desktops of a Desktop group." group:"desktops"`
	Workspace        workspaceCommands        `cmd:"" help:"Workspaces." group:"desktops"`
	Scalingplan      scalingPlanCommands      `cmd:"" help:"Scaling plans." group:"desktops"`
}

// Groups are the headings of Commands in the program's help, for
// kong.ExplicitGroups.
func Groups() []kong.Group {
	return []kong.Group{
		{Key: "desktops", Title: "Desktops:"},
		{Key: "resources", Title: "Resources:"},
		{Key: "access", Title: "Access:"},
		{Key: "account", Title: "Login:"},
	}
}
