package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newRootCommand builds the command tree. There is no package-level state: each call gives a fresh tree.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "netstream",
		Short: "Show what package netstream does, for real",
		Long: `netstream shows what package github.com/seed-9ac8cf60/netstream does: asynchronous
network streams with Begin/End calls, callbacks and one result for every operation.

Start with "netstream demo".

Exit status: 0 all went well, 1 something failed, 2 called wrongly, 130 Ctrl-C.`,
		Version: versionLine(),
		// One line on standard error is all that a mistake or a failure costs the reader; run prints it.
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          refuseUnknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(newDemoCommand(), newVersionCommand())
	return root
}

// refuseUnknownCommand says on one line what cobra would say on several.
func refuseUnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q, did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// refuseArguments is for commands that take flags only.
func refuseArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, got %q", cmd.Name(), args[0])
	}
	return nil
}
