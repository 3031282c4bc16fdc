package netstream_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of the repository. A test that fails here asks for the code to be changed, or for the rule to be
// discussed; it has no list of exceptions.

const modulePath = "github.com/seed-9ac8cf60/netstream"

// The packages of tests, and the one that they and the tests of the root package share.
const (
	testsDir = "internal/tests/"
	kitDir   = testsDir + "kit"
)

// sourceFile is one Go file of this module, whatever system it is for.
type sourceFile struct {
	name string // slash-separated, from the root
	dir  string // "." for the root package
	test bool   // a _test.go file, or what such files of several packages share
	text []byte
	ast  *ast.File
	fset *token.FileSet
}

// library reports whether programs that import netstream get this file.
func (f *sourceFile) library() bool {
	return !f.test && (f.dir == "." || strings.HasPrefix(f.dir, "internal/"))
}

func (f *sourceFile) line(p token.Pos) int { return f.fset.Position(p).Line }

func (f *sourceFile) at(p token.Pos) string { return fmt.Sprintf("%s:%d", f.name, f.line(p)) }

// imports returns the paths that the file imports.
func (f *sourceFile) imports() []string {
	var list []string
	for _, spec := range f.ast.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser has seen to that
		}
		list = append(list, name)
	}
	return list
}

// sourceFiles parses all Go files of this module. Directories with a go.mod of their own are other modules.
func sourceFiles(t *testing.T) []*sourceFile {
	t.Helper()
	var files []*sourceFile
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, noModule := os.Stat(filepath.Join(name, "go.mod"))
			if base := d.Name(); name != "." && (base[0] == '.' || base == "testdata" || noModule == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f := &sourceFile{name: filepath.ToSlash(name), text: text, fset: token.NewFileSet()}
		f.dir = path.Dir(f.name)
		f.test = strings.HasSuffix(name, "_test.go") || strings.HasPrefix(f.dir, testsDir)
		if f.ast, err = parser.ParseFile(f.fset, f.name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("found %d files only: the rules would hold for nothing", len(files))
	}
	return files
}

func TestUnsafeIsImportedByInternalSysOnly(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if f.dir != "internal/sys" && slices.Contains(f.imports(), "unsafe") {
			t.Errorf("%s imports unsafe", f.name)
		}
	}
}

// Raw system calls bypass the runtime's bookkeeping, so they live where they can be looked after.
func TestRawSystemCallsAreInInternalSysOnly(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if f.dir == "internal/sys" || f.test {
			continue
		}
		for _, name := range []string{"golang.org/x/sys/unix", "golang.org/x/sys/windows"} {
			if slices.Contains(f.imports(), name) {
				t.Errorf("%s imports %s", f.name, name)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if name := sel.Sel.Name; isIdent(sel.X, "syscall") && strings.Contains(name, "Syscall") {
					t.Errorf("%s uses syscall.%s", f.at(n.Pos()), name)
				}
			}
			return true
		})
	}
}

func isIdent(e ast.Expr, names ...string) bool {
	id, ok := e.(*ast.Ident)
	return ok && slices.Contains(names, id.Name)
}

// floors says which packages of this module each directory may import: those below it. The tests of a directory may import
// the directory itself and, like the packages of tests, which stand on the root package, the kit.
var floors = map[string][]string{
	"internal/sys":    {},
	"internal/loop":   {"internal/sys"},
	"internal/engine": {"internal/loop", "internal/sys"},
	".":               {"internal/engine"},
	"cmd/netstream":   {"."},
	"examples/hub":    {"."},
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range sourceFiles(t) {
		allowed, known := floors[f.dir]
		if strings.HasPrefix(f.dir, testsDir) {
			allowed, known = []string{"."}, true
		}
		if !known {
			t.Errorf("%s: the directory has no floor; say in arch_test.go what it may import", f.name)
			continue
		}
		for _, name := range f.imports() {
			if name != modulePath && !strings.HasPrefix(name, modulePath+"/") {
				continue
			}
			dir := strings.TrimPrefix(strings.TrimPrefix(name, modulePath), "/")
			if dir == "" {
				dir = "."
			}
			if !slices.Contains(allowed, dir) && !(f.test && (dir == f.dir || dir == kitDir)) {
				t.Errorf("%s imports %s, which is not below it", f.name, name)
			}
		}
	}
}

// What an internal package exports, somebody outside it uses; else it is dead, or nobody's business. A method counts as used
// where any method or field of its name is. Types are left out: a signature may be all that names them.
func TestInternalPackagesExportNothingInVain(t *testing.T) {
	files := sourceFiles(t)
	used := map[string][]string{} // "package.Name" or ".Method": the directories that select it
	for _, f := range files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				name := "." + sel.Sel.Name
				used[name] = append(used[name], f.dir)
				if id, ok := sel.X.(*ast.Ident); ok {
					used[id.Name+name] = append(used[id.Name+name], f.dir)
				}
			}
			return true
		})
	}
	for _, f := range files {
		if f.test || !strings.HasPrefix(f.dir, "internal/") {
			continue
		}
		for _, d := range f.ast.Decls {
			for name, id := range exportedValues(f.ast.Name.Name, d) {
				if !slices.ContainsFunc(used[name], func(dir string) bool { return dir != f.dir }) {
					t.Errorf("%s: nobody outside the package uses %s", f.at(id.Pos()), id.Name)
				}
			}
		}
	}
}

// exportedValues returns the exported functions, methods, constants and variables that d declares in the package, by what
// selects them.
func exportedValues(pkg string, d ast.Decl) map[string]*ast.Ident {
	names := map[string]*ast.Ident{}
	note := func(prefix string, id *ast.Ident) {
		if id.IsExported() {
			names[prefix+"."+id.Name] = id
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			note(pkg, d.Name)
		} else if exportedReceiver(d.Recv) {
			note("", d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if spec, ok := spec.(*ast.ValueSpec); ok {
				for _, id := range spec.Names {
					note(pkg, id)
				}
			}
		}
	}
	return names
}

// What a program gets when it imports netstream is the standard library and golang.org/x/sys, nothing more.
func TestLibraryImportsStandardLibraryAndXSysOnly(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if !f.library() {
			continue
		}
		for _, name := range f.imports() {
			first, _, _ := strings.Cut(name, "/")
			own := name == modulePath || strings.HasPrefix(name, modulePath+"/")
			if strings.Contains(first, ".") && !own && !strings.HasPrefix(name, "golang.org/x/sys/") {
				t.Errorf("%s imports %s", f.name, name)
			}
		}
	}
}

// A library says nothing of its own accord: what nobody can be told goes to Config.Logger.
func TestLibraryPrintsNothing(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if !f.library() {
			continue
		}
		if slices.Contains(f.imports(), "log") {
			t.Errorf("%s imports log", f.name)
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if isIdent(n.Fun, "print", "println") {
					t.Errorf("%s calls the built-in print", f.at(n.Pos()))
				}
			case *ast.SelectorExpr:
				if isIdent(n.X, "fmt") && strings.HasPrefix(n.Sel.Name, "Print") ||
					isIdent(n.X, "os") && isIdent(n.Sel, "Stdout", "Stderr") {
					t.Errorf("%s uses %s", f.at(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestFilesHaveAtMost400Lines(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if lines := bytes.Count(f.text, []byte("\n")); !f.test && lines > 400 {
			t.Errorf("%s has %d lines", f.name, lines)
		}
	}
}

func TestNineFunctionsOfTenHaveAtMost40Lines(t *testing.T) {
	type function struct {
		lines int
		where string
	}
	var all []function
	for _, f := range sourceFiles(t) {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				lines := f.line(d.End()) - f.line(d.Pos()) + 1
				all = append(all, function{lines, f.at(d.Pos()) + " " + d.Name.Name})
			}
		}
	}
	slices.SortFunc(all, func(a, b function) int { return b.lines - a.lines })
	long := slices.IndexFunc(all, func(f function) bool { return f.lines <= 40 })
	t.Logf("%d functions, the median has %d lines, %d have more than 40", len(all), all[len(all)/2].lines, long)
	if long > len(all)/10 {
		t.Errorf("%d of %d functions have more than 40 lines: %v", long, len(all), all[:long])
	}
}

func TestFilesAreFormatted(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if want, err := format.Source(f.text); err != nil || !bytes.Equal(f.text, want) {
			t.Errorf("%s is not as gofmt writes it (%v)", f.name, err)
		}
	}
}
