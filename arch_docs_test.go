package netstream_test

import (
	"go/ast"
	"testing"
)

func TestEveryExportedNameIsDocumented(t *testing.T) {
	packages := map[string]bool{} // by directory: has a package comment
	for _, f := range sourceFiles(t) {
		if f.test && f.dir != kitDir {
			continue
		}
		packages[f.dir] = packages[f.dir] || f.ast.Doc != nil
		if f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, name := range undocumented(f, d) {
				t.Errorf("%s is not documented", name)
			}
		}
	}
	for dir, documented := range packages {
		if !documented {
			t.Errorf("the package in %s has no comment", dir)
		}
	}
}

// undocumented lists the exported names that d declares without a comment.
func undocumented(f *sourceFile, d ast.Decl) (names []string) {
	note := func(id *ast.Ident) { names = append(names, f.at(id.Pos())+" "+id.Name) }
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d.Recv)) {
			note(d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if !spec.Name.IsExported() {
					continue
				}
				if d.Doc == nil && spec.Doc == nil {
					note(spec.Name)
				}
				for _, id := range undocumentedFields(f, spec.Type) {
					note(id)
				}
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					if id.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						note(id)
					}
				}
			}
		}
	}
	return names
}

func exportedReceiver(recv *ast.FieldList) bool {
	typ := recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// undocumentedFields returns the exported fields of a struct without a comment. One comment may stand above several in
// a row. (The methods of an interface are the business of its own comment, as those of io.Reader are.)
func undocumentedFields(f *sourceFile, typ ast.Expr) (ids []*ast.Ident) {
	structure, ok := typ.(*ast.StructType)
	if !ok {
		return nil
	}
	covered := 0 // the last line that the comment above speaks for
	for _, field := range structure.Fields.List {
		if field.Doc != nil || covered > 0 && f.line(field.Pos()) == covered+1 {
			covered = f.line(field.End())
			continue
		}
		if field.Comment != nil {
			continue
		}
		for _, id := range field.Names {
			if id.IsExported() {
				ids = append(ids, id)
			}
		}
	}
	return ids
}
